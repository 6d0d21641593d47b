"""Every series that other programs measured, loaded and compared with what they say: one table.

The truth was computed by SimpleITK, dcm2niix, highdicom and nibabel; the comparison is that of docs/voxels.md. Known
to be wrong there, and not followed here: SimpleITK's orthogonal affine for gantry tilt, dcm2niix' resampled files
(`_Tilt`, `_Eq`), and its rescaling of fractions in float32 (SimpleITK and highdicom work in float64, as we do).
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from support import ROOT

from benchmarks import voxels
from dicomlab.errors import GeometryError

DATA = ROOT.parent / "shared" / "data"
TRUTH = {path.stem: path for path in sorted((DATA / "truth").glob("[a-z]*.json"))}
#: How a truth file begins: the shapes of the volumes, programs whose voxels are all equal to ours (d: dcm2niix,
#: S: SimpleITK, h: highdicom, n: nibabel), and what `load` says where they are not one volume.
TABLE = {
    "ct_not_a_volume": ([], "", "4 images at 1 position"),
    "ct_philips_gantry_tilt": ([(54, 512, 512)], "S", ""),
    "ct_slice_increment_bad": ([(4, 512, 512)], "S", ""),
    "ct_tilt_siemens_4slices": ([(4, 512, 512)], "S", ""),
    "mr_canon_dti_oblique_4d": ([(13, 40, 80, 80)], "dS", ""),
    "mr_d2n_good__generic_compressed": ([(4, 256, 256)], "dS", ""),
    "mr_d2n_good__generic_rgb": ([(4, 77, 52, 3)], "S", ""),
    "mr_d2n_good__hyperfine": ([(8, 138, 112)], "d", ""),
    "mr_d2n_good__philips_enhanced": ([(8, 256, 256)], "", ""),
    "mr_d2n_good__siemens": ([(4, 256, 256)], "dS", ""),
    "mr_enhanced_multiframe__In_Philips": ([(32, 64, 64), (32, 64, 64)], "", "other units"),
    "mr_enhanced_multiframe__In_Siemens_XA10": ([(4, 6, 64, 64)], "d", ""),
    "mr_ge_fmri_4d": ([(10, 15, 64, 64)], "dS", ""),
    "mr_sag_j2k_lossless": ([(96, 128, 128)], "dSh", ""),
    "mr_siemens_mosaic__In_20180918Si_mr_0003": ([(2, 5, 72, 72)], "dn", ""),
    "mr_siemens_mosaic__In_20180918Si_mr_0004": ([(2, 5, 72, 72)], "dn", ""),
    "mr_siemens_mosaic__In_20180918Si_mr_0005": ([(2, 5, 72, 72)], "dn", ""),
    "mr_siemens_mosaic__In_20180918Si_mr_0006": ([(2, 5, 72, 72)], "dn", ""),
    "mr_siemens_phase_fieldmap": ([(36, 64, 64)], "dSh", ""),
    "mr_slice_orientation_mixed": ([(2, 288, 288), (2, 288, 288)], "", "other PixelSpacing, orientation"),
    "mr_uih_dti": ([(17, 20, 64, 64)], "d", ""),
    "pet_suv_dro__DRO_DRO_0_0": ([(20, 256, 256)], "dSh", ""),
    "pet_suv_dro__DRO_DRO_3_3": ([(20, 256, 256)], "dSh", ""),
    "petctmr_sts002__dicom_STS_002_CT": ([(48, 143, 161)], "dSh", ""),
    "petctmr_sts002__dicom_STS_002_MR": ([(35, 90, 115)], "dSh", ""),
    "petctmr_sts002__dicom_STS_002_PET": ([(48, 27, 30)], "Sh", ""),
    "qr_two_patients__dicom_TestPat1_2.25.4125": ([(2, 256, 256)], "dSh", ""),
    "qr_two_patients__dicom_TestPat1_2.25.48763180273123217650808083612_2.25.162": ([(2, 256, 256)], "dSh", ""),
    "qr_two_patients__dicom_TestPat1_2.25.48763180273123217650808083612_2.25.176": ([(2, 256, 240)], "dSh", ""),
    "qr_two_patients__dicom_TestPat2_2.25.45090685567275716711148088205_2.25.534": ([(2, 512, 512)], "dSh", ""),
    "qr_two_patients__dicom_TestPat2_2.25.45090685567275716711148088205_2.25.769": ([(2, 1, 312, 384)], "d", ""),
    "rt_ct_rtstruct__mock_data": ([(2, 512, 512)], "dSh", ""),
    "rt_ct_rtstruct__oriented_data": ([(3, 50, 100)], "S", ""),
    "seg_pm_sr_dcmqi__segmentations_23x38x3_image": ([(3, 38, 23)], "dSh", ""),
    "seg_pm_sr_dcmqi__segmentations_23x38x3_multiframe": ([(3, 38, 23)], "d", ""),
    "seg_pm_sr_dcmqi__segmentations_24x38x3_image": ([(3, 38, 24)], "dSh", ""),
    "seg_pm_sr_dcmqi__segmentations_24x38x3_multiframe": ([(3, 38, 24)], "d", ""),
    "seg_pm_sr_dcmqi__segmentations_ct-3slice": ([(3, 512, 512)], "dSh", ""),
    # ultrasound: pictures that lie nowhere in the patient
    "codecs_pydicom_data__.__105.112000.2": ([(120, 256, 3)], "", ""),
    "codecs_pydicom_data__.__25182826.1.0": ([(2, 600, 800, 3), (600, 800, 3)], "", "image without a position"),
    "codecs_pydicom_data__.__6185059.5457": ([(480, 640, 3)] * 3, "", "image without a position"),
    "codecs_pydicom_data__.__992152438492": ([], "", "without ImagePositionPatient"),
}
#: dcm2niix rescales these in float32: equal but for rounding.
ROUNDED = ("philips_enhanced", "multiframe__In_Philips", "STS_002_PET", "oriented_data")
WITHOUT_A_UID = "codecs_pydicom_data__.__none"
GAP = "ct_slice_increment_bad"


def digests(values: np.ndarray) -> tuple[str, str]:
    """SHA-256 of the values as float32 and, where whole, as int32, little endian."""
    plain = np.ascontiguousarray(values)
    return tuple(hashlib.sha256(plain.astype(kind).tobytes()).hexdigest() for kind in ("<f4", "<i4"))  # type: ignore


def line_of(start: str) -> voxels.Line:
    found = [path for name, path in TRUTH.items() if name.startswith(start)]
    if not TRUTH:
        pytest.skip("no truth beside this project")
    (path,) = found
    return voxels.compare(json.loads(path.read_text()), DATA)


@pytest.mark.parametrize("start", TABLE)
def test_a_series_has_the_geometry_and_the_voxels_other_programs_found(start):  # R12.4, R12.5, R12.6, R12.7
    shapes, agree, word = TABLE[start]
    line = line_of(start)
    assert [volume.shape for volume in line.volumes] == shapes
    assert {name[0] for name in line.agree()} == set(agree)
    assert (word in line.refusal.message) if word else line.refusal is None
    if start.startswith(("codecs", "ct_not")):
        assert line.mm is None and not any("geometry" in volume.coords for volume in line.volumes)
        return
    assert line.mm < 1e-3  # every corner of every slice, from its own header
    assert line.affine == (start != GAP)
    for name, all_ in line.theirs.items():
        for one in all_:
            if any(part in start for part in ROUNDED) and name == "dcm2niix":
                assert one.voxels <= 1e-6 * max(float(np.abs(volume).max()) for volume in line.volumes)
            elif one.voxels is not None:
                assert one.voxels == 0, (name, one.shape)


def test_the_table_has_every_series_that_has_a_uid():
    if not TRUTH:
        pytest.skip("no truth beside this project")
    for name in TRUTH:
        assert sum(name.startswith(start) for start in TABLE) == (name != WITHOUT_A_UID), name


def test_a_gap_leaves_no_affine_and_two_echoes_are_one_volume():
    (gap,) = line_of(GAP).volumes
    with pytest.raises(GeometryError, match="not uniform"):
        gap.dicom.affine
    (echoes,) = line_of("qr_two_patients__dicom_TestPat2_2.25.45090685567275716711148088205_2.25.769").volumes
    assert echoes.echo.values.tolist() == [2.46, 4.25]  # dcm2niix writes a file for each


def test_the_table_of_the_docs_is_made_of_the_same_lines():
    text = voxels.markdown([line_of("mr_siemens_mosaic__In_20180918Si_mr_0003"), line_of("ct_not_a_volume")])
    assert "2 x 5 x 72 x 72 by time, 0 mm" in text and "nibabel: 2 x 5 x 72 x 72, 0 mm, equal" in text
    assert "refused: 4 images at 1 position" in text
