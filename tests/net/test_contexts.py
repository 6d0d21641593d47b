"""Presentation contexts: how many, and with how many transfer syntaxes each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicomlab.net.association import contexts


def test_pynetdicom_names_more_storage_classes_than_one_association_holds():
    classes = contexts.storage_classes()
    assert len(classes) > contexts.LIMIT  # R1.6
    assert len(set(classes)) == len(classes)
    assert classes[0] == "1.2.840.10008.5.1.4.1.1.2"  # CT comes first where contexts are scarce


def test_no_batch_is_larger_than_what_an_association_has_left():  # R1.6
    for classes in (contexts.storage_classes(), contexts.storage_classes()[:7], contexts.storage_classes()[:1]):
        for batch in contexts.storage_batches(classes, contexts.LIMIT - 1):
            assert 1 <= len(batch) <= contexts.LIMIT - 1


def test_contexts_for_received_data_sets_have_one_transfer_syntax_each():  # R1.7
    for batch in contexts.storage_batches(contexts.storage_classes(), contexts.LIMIT - 1):
        assert all(len(context.transfer_syntaxes) == 1 for context in batch)


def test_a_query_offers_both_uncompressed_encodings_in_one_context():  # R1.7
    (context,) = contexts.query("1.2.3")
    assert context.transfer_syntaxes == (contexts.EXPLICIT, contexts.IMPLICIT)


@given(st.integers(1, 200), st.integers(1, 30), st.integers(6, 127))
def test_batches_cover_every_pair_of_class_and_syntax_once(classes, syntaxes, room):  # R1.6, R1.7
    names = [f"1.{number}" for number in range(1, classes + 1)]
    encodings = tuple(f"2.{number}" for number in range(1, syntaxes + 1))
    batches = list(contexts.storage_batches(names, room, encodings))
    assert all(len(batch) <= room for batch in batches)
    pairs = [(item.abstract_syntax, item.transfer_syntaxes) for batch in batches for item in batch]
    assert sorted(pairs) == sorted((name, (encoding,)) for name in names for encoding in encodings)


def test_the_uncompressed_syntaxes_come_in_the_first_batches():  # R1.7: default order
    first = next(contexts.storage_batches(contexts.storage_classes(), 127))
    assert {context.transfer_syntaxes[0] for context in first} == {contexts.EXPLICIT, contexts.IMPLICIT}


def test_everyday_modalities_need_one_association():  # R1.6: leave out what cannot occur
    classes = contexts.classes_of(["CT"])
    assert classes is not None
    assert len(classes) * len(contexts.STORABLE) <= contexts.LIMIT - 1
    assert contexts.classes_of(["CT", "SOMETHING"]) is None
    assert contexts.classes_of([]) is None
