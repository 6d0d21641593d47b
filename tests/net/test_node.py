"""Nodes: addresses, AE titles, ports, deadlines, and the file they live in."""

from __future__ import annotations

import os
import stat
import traceback
import warnings
from dataclasses import replace

import pytest
from canned import Answers, archive, match
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab.errors import InvalidRequest, ResultWarning
from dicomlab.net.association.addressbook import Nodes, nodes, nodes_file
from dicomlab.net.association.node import Node, Quirks, Timeouts

TITLES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), max_size=16).filter(
    lambda title: title.strip(" ")
)


@pytest.mark.parametrize(
    ("address", "title", "host", "port", "identity"),
    [
        ("ARCHIVE@localhost:11112", "ARCHIVE", "localhost", 11112, "ARCHIVE@localhost:11112"),
        (" MY PACS@10.0.0.5:104 ", "MY PACS", "10.0.0.5", 104, "MY PACS@10.0.0.5:104"),
        ("A:B@host.example:65535", "A:B", "host.example", 65535, "A:B@host.example:65535"),
        ("SIX@[2001:db8::1]:1", "SIX", "2001:db8::1", 1, "SIX@[2001:db8::1]:1"),
    ],
)
def test_an_address_is_all_that_is_needed(address, title, host, port, identity):  # R1.1, R1.2
    node = Node.of(address)
    assert (node.ae_title, node.host, node.port, node.identity) == (title, host, port, identity)
    assert (node.calling, node.move_ae, node.listen, node.allow) == ("DICOMLAB", "DICOMLAB", 0, frozenset())
    assert Node.of(node) is node


@pytest.mark.parametrize(
    "address",
    [
        "", "   ", "@host:104", "A@host", "A@host:", "A@:104", "A@host:x", "A@host:0", "A@host:65536", "A@host:-1",
        "A@host:104/x", "A@two words:104", "A@[]:104", "A@::1:104", "SEVENTEEN LETTERS@host:104", "  @host:104",
        "A\\B@host:104", "TAB\t@host:104", "ÄRCHIV@host:104", 104, None,
        "A@host:104:104", "A@host:1_04", "A@host:١٠٤", "A@host:+104", "A@host:" + "9" * 5000, "A@host:104.0",
        "A@[fe80::1%]:104", "A@[::1%e\nth]:104", "A@[1:2]:104", "A@[host]:104", "A@[::1]x:104", "A@::1]:104",
        "A@256.1.1.1:104", "A@127.1:104", "A@0:104", "A@0x7f.1:104", "A@1.2.3.4.5:104", "A@10.0.0.010:104",
        "A@host\0:104", "A@ho\x1b[2Jst:104", "A@ho\u202est:104", "A@ho\u200bst:104", "A@ho..st:104", "A@.host:104",
        "A@-host:104", "A@host,other:104", "A@host;x:104", "A@<b>:104", "A@'\">:104", "A@*:104", "A@$HOME:104",
        "A@host%00:104", "A@" + "h" * 64 + ":104", "A@" + "a." * 128 + "a:104",
    ],
)  # fmt: skip
def test_anything_else_is_refused_before_connecting(address):  # R1.2
    with pytest.raises(InvalidRequest):
        Node.of(address)


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("pacs.example.org", "AET@pacs.example.org:104"),
        ("pacs.example.org:11112", "AET@pacs.example.org:11112"),
        ("10.0.0.5", "AET@10.0.0.5:104"),
        ("localhost", "AET@localhost:104"),
        ("pacs:4242", "AET@pacs:4242"),
        ("[2001:db8::1]:104", "AET@[2001:db8::1]:104"),
        ("ARCHIVE@pacs.example.org", "ARCHIVE@pacs.example.org:104"),
    ],
)
def test_an_address_that_is_not_whole_is_completed_in_the_advice(address, advice):  # R1.2, R0.4
    with pytest.raises(InvalidRequest, match="lacks the") as caught:
        Node.of(address)
    assert f'"{advice}"' in caught.value.advice
    Node.of(advice)


@pytest.mark.parametrize(
    ("address", "advice"),
    [("dicom://A@host:104", '"A@host:104"'), ("10.0.0.5@ARCHIVE:104", '"ARCHIVE@10.0.0.5:104"')],
)
def test_an_address_written_another_way_is_turned_round_in_the_advice(address, advice):  # R1.2, R0.4
    with pytest.raises(InvalidRequest) as caught:
        Node.of(address)
    assert advice in caught.value.advice
    assert Node.of("10.0.0.5@10.0.0.5:104").ae_title == "10.0.0.5"  # it is no forbidden title


def test_a_node_may_be_named_like_a_host():  # R1.3
    book = nodes()
    book.add("pacs.example.org", Node("ARCHIVE", "10.0.0.5", 104))
    book.save()
    assert Node.of("pacs.example.org").host == "10.0.0.5"


@pytest.mark.parametrize("host", ["h", "my_pacs-2.example.org.", "bücher.example", "fe80::1%eth0", "10.0.0.1"])
def test_a_host_is_a_name_or_an_address_of_either_kind(host):  # R1.2
    assert Node("A", f" {host} ", 104, listen_host="::1").host == host


@pytest.mark.parametrize("host", ["host:104", ":::", "[[::1]]", "]h[", "1.2.3.4:5", "a b", "::1]", "h\x7f", "", 5])
@pytest.mark.parametrize("field", ["host", "listen_host"])
def test_a_host_that_is_none_is_refused(field, host):  # R1.2
    if field == "listen_host" and host == "":
        pytest.skip("that is the route to the peer")
    with pytest.raises(InvalidRequest, match=f"{field} .* is no host name"):
        Node(**{"ae_title": "A", "host": "h", "port": 104, field: host})


@pytest.mark.parametrize("field", ["ae_title", "calling", "move_ae"])
@pytest.mark.parametrize("title", ["", "    ", "A" * 17, "A\\B", "A\nB", "A\x7f", "Ä", 5, None])
def test_a_title_that_is_none_is_refused(field, title):  # R1.2
    if field == "move_ae" and not title:
        pytest.skip("that is the calling AE title")
    with pytest.raises(InvalidRequest, match=field):
        Node(**{"ae_title": "A", "host": "host", "port": 104, field: title})


@given(TITLES)
def test_every_other_title_is_taken_without_the_spaces_around_it(title):  # R1.2
    node = Node(title, "host", 104, calling=title)
    assert node.ae_title == node.calling == node.move_ae == title.strip(" ")


@pytest.mark.parametrize("field", ["port", "listen"])
@pytest.mark.parametrize("value", [-1, 65536, "104", 104.0, True, None])
def test_a_port_that_is_none_is_refused(field, value):  # R1.2
    with pytest.raises(InvalidRequest, match=field):
        Node(**{"ae_title": "A", "host": "host", "port": 104, field: value})


def test_a_node_is_read_only_unless_a_writing_service_is_named():  # R1.0
    assert Node("A", "host", 104, allow="store").allow == {"store"}
    with pytest.raises(InvalidRequest, match=r"did you mean.*store"):
        Node("A", "host", 104, allow=frozenset({"stor"}))


@pytest.mark.parametrize("many", [0, -1, 65, 10**9, True, 2.0, "2"])
def test_associations_at_once_are_few(many):  # R0.8, R1.20
    assert Node("A", "host", 104, associations=64).associations == 64
    with pytest.raises(InvalidRequest, match="from 1 to 64"):
        Node("A", "host", 104, associations=many)


@pytest.mark.parametrize(
    "quirk", [{"charset": "nonsense"}, {"syntaxes": ("1.2.x",)}, {"syntaxes": (5,)}, {"stores_from": ("A\\B",)},
              {"stores_from": ("A" * 17,)}, {"move_grace": float("nan")}], ids=str
)  # fmt: skip
def test_a_quirk_that_cannot_be_is_refused(quirk):  # R1.2, R1.23
    with pytest.raises(InvalidRequest, match="quirk "):
        Quirks(**quirk)


@pytest.mark.parametrize(
    ("charset", "bytes_", "name"),
    [("", b"M\xfcller", "Müller"), ("ISO_IR 100", b"M\xfcller", "Müller"), ("ISO_IR 192", "Müller".encode(), "Müller"),
     ("ISO_IR 144", "Мюллер".encode("iso8859-5"), "Мюллер"), ("GB18030", "王^小东".encode("gb18030"), "王^小东")],
)  # fmt: skip
def test_text_without_a_character_set_is_read_in_that_of_the_quirk(charset, bytes_, name):  # R1.23
    def answer(_: Dataset) -> Answers:
        found = match(StudyInstanceUID="1.2", QueryRetrieveLevel="STUDY")
        found.PatientName = bytes_
        yield 0xFF00, found
        yield 0x0000, None

    with archive(answer) as address, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)  # it is said that there is no character set
        node = replace(Node.of(address), quirks=Quirks(charset=charset))
        assert dl.connect(node).find("STUDY", PatientID="1").PatientName.tolist() == [name]


@pytest.mark.parametrize("name", ["connect", "association", "progress", "total"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "5", True])
def test_no_deadline_is_without_end_or_sense(name, value):  # R1.4
    with pytest.raises(InvalidRequest, match=name):
        Timeouts(**{name: value})


def test_only_the_total_deadline_may_be_absent():  # R1.4
    assert Timeouts(total=None).total is None
    for name in ("connect", "association", "progress"):
        with pytest.raises(InvalidRequest, match=name):
            Timeouts(**{name: None})


# -- nodes.toml ------------------------------------------------------------------------------------------------


FULL = Node(
    "ARCHIVE",
    "2001:db8::1",
    104,
    calling="LAB",
    move_ae="DICOMLAB",  # the default of another field
    listen=11113,
    listen_host="2001:db8::2",
    associations=3,
    allow=frozenset({"store", "commit"}),
    timeouts=Timeouts(connect=2.5, progress=60, total=1e-3),
    quirks=Quirks(charset="ISO_IR 100", result_limit=500, no_get=True, stores_from=('ST"1', "ST2"), move_grace=1.0),
)


def test_nodes_are_read_as_they_were_saved():  # R1.3
    book = nodes()
    assert len(book) == 0
    book.add("research", FULL)
    book.add('odd "name\\ ü', Node("A", "host", 1))
    book.add("gone", Node("B", "host", 2))
    book.remove("gone")
    book.save()
    again = nodes()
    assert list(again) == ["research", 'odd "name\\ ü']
    for name in again:
        assert again[name] == book[name]
        assert again[name].name == name
    assert Node.of("research") == again["research"]
    assert "research: ARCHIVE@[2001:db8::1]:104" in repr(again)


@given(TITLES, TITLES, TITLES, st.integers(0, 65535), st.text(min_size=1, max_size=12).filter(lambda n: "@" not in n))
def test_any_node_is_read_as_it_was_saved(tmp_path_factory, title, calling, move_ae, port, name):  # R1.3
    if not name.strip() or not name.isprintable():
        return
    book = Nodes(tmp_path_factory.mktemp("nodes") / "nodes.toml")
    book.add(name, Node(title, "host", 104, calling=calling, move_ae=move_ae, listen=port))
    book.save()
    assert dict(Nodes(book.path)) == dict(book)


@pytest.mark.skipif(os.name == "nt", reason="modes are another thing there")
def test_the_file_is_its_owners_alone_and_nothing_is_left_beside_it():  # R1.3: mode 0600
    book = nodes()
    book.add("a", Node("A", "host", 1))
    for _ in range(2):
        book.save()
    assert stat.S_IMODE(nodes_file().stat().st_mode) == 0o600
    assert [path.name for path in nodes_file().parent.glob("nodes.toml*")] == ["nodes.toml"]


def test_a_node_is_added_by_its_address_and_a_file_that_cannot_be_written_is_told():  # R1.3, R0.4
    book = nodes()
    book.add("archive", "ARCHIVE@pacs.example.org:104")
    book.save()
    assert nodes()["archive"].identity == "ARCHIVE@pacs.example.org:104"
    with pytest.raises(InvalidRequest, match="lacks the port"):
        book.add("other", "ARCHIVE@pacs.example.org")
    nodes_file().write_text("[archive]\nae_title = ARCHIVE\n")
    with pytest.raises(InvalidRequest, match=r"line 2.*Texts stand in quotes"):
        nodes()
    book.path = book.path / "below a file" / "nodes.toml"
    with pytest.raises(InvalidRequest, match=r"cannot be written \(.*DICOMLAB_CONFIG"):
        book.save()


def test_writing_is_allowed_by_name_and_not_by_true():  # R1.0
    with pytest.raises(InvalidRequest, match=r"allow=True\. Name the services that write: commit, .*store"):
        dl.connect("A@localhost:1", allow=True)  # type: ignore[arg-type]


HEAD = '# ours\n[other]\nae_title = "B"\nhost = "h"\nport = 1\n\n[research]\nae_title = "A"\nhost = "h"\nport = 104\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (HEAD + 'calling = "X"\nlissten = 5\n', 12, "lissten: is no key of a node"),
        (HEAD + 'listen = "5"\n', 11, "listen: takes a whole number, not"),
        (HEAD + "listen = true\n", 11, "listen: takes a whole number, not"),
        (HEAD + "timeouts = { connct = 5 }\n", 11, "timeouts.connct: is no key of timeouts"),
        (HEAD + "timeouts = { connect = 0 }\n", 11, "timeouts: timeout connect takes seconds above 0"),
        (HEAD + "timeouts.progress = 'x'\n", 11, "timeouts.progress: takes a number, not"),
        (HEAD + "\n[research.quirks]\nno_gett = true\n", 13, "quirks.no_gett: is no key of quirks"),
        (HEAD + '\n[research.quirks]\nno_get = "yes"\n', 13, "no_get: takes true or false, not"),
        (HEAD + 'quirks = { stores_from = "ABC" }\n', 11, "stores_from: takes a list of texts"),
        (HEAD + "quirks = { stores_from = [1] }\n", 11, "stores_from: takes a list of texts"),
        (HEAD + "quirks = { move_grace = -1 }\n", 11, "move_grace"),
        (HEAD + 'allow = ["stor"]\n', 11, "allow='stor' is no writing service"),
        (HEAD + "allow = [1]\n", 11, "allow: takes a list of texts"),
        (HEAD + 'calling = "A name far too long"\n', 11, "calling"),
        (HEAD.replace("port = 104", "port = 0"), 10, "port 0 is no port"),
        (HEAD.replace("port = 104\n", ""), 7, "port: is missing"),
        ('research = "A@h:1"\n', 1, "is no table"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_key_and_line(text, line, words):  # R1.3
    nodes_file().write_text(text, encoding="utf-8")
    with pytest.raises(InvalidRequest) as caught:
        nodes()
    assert words in str(caught.value)
    assert f"nodes.toml, line {line}: " in str(caught.value)
    assert "'research'" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"[research\n", b"\xff\xfe", b"[a]\n[a]\n", b"a=" + b"[" * 5000 + b"]" * 5000, b"a=" + b"9" * 5000,
        b"#" * ((1 << 20) + 1),
    ],
    ids=["open", "no text", "twice", "deep", "large number", "large"],
)  # fmt: skip
def test_a_file_that_is_no_toml_is_refused_by_name(content):  # R1.3
    nodes_file().write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"nodes\.toml"):
        nodes()


def test_a_name_that_is_not_there_gives_the_names_that_are():  # R1.3
    book = nodes()
    book.add("research", Node("A", "host", 1))
    with pytest.raises(InvalidRequest, match=r"did you mean.*research"):
        book["reserch"]
    with pytest.raises(InvalidRequest):
        book.remove("clinic")
    with pytest.raises(InvalidRequest):
        book.add("A@host", Node("A", "host", 1))
    assert "clinic" not in book


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes of a name")
def test_a_pipe_or_folder_in_its_place_is_refused_and_not_waited_for():  # R1.4
    os.mkfifo(nodes_file())
    with pytest.raises(InvalidRequest, match="no regular file"):
        nodes()
    nodes_file().unlink()
    nodes_file().mkdir()
    with pytest.raises(InvalidRequest, match="no regular file"):
        nodes()


@pytest.mark.parametrize("name", ['""', '" "', '"a@b:1"', '"a\\u0000b"', '"\\u001b[2J"', '"a\\u202eb"'])
def test_a_name_that_nobody_can_say_is_refused_with_its_line(name):  # R1.3, R15.9
    nodes_file().write_text(f'\n[{name}]\nae_title = "A"\nhost = "h"\nport = 104\n', encoding="utf-8")
    with pytest.raises(InvalidRequest, match=r"line \d: .* is no name for a node") as caught:
        nodes()
    assert str(caught.value).isprintable()


def test_a_file_saved_by_an_editor_with_its_mark_is_read():  # R1.3
    nodes_file().write_text('[a]\nae_title = "A"\nhost = "h"\nport = 104\n', encoding="utf-8-sig")
    assert nodes()["a"].identity == "A@h:104"


@pytest.mark.parametrize(
    "entry",
    [
        'tls = { password_variable = ["geheim"] }', 'tls = { password = "geheim" }', 'tls = { pasword = "geheim" }',
        'user = { name = "x", passcode = "geheim" }', 'user = { token_variable = { geheim = "geheim" } }',
        'password = "geheim"', 'passcode_variable = ["geheim"]',
    ],
)  # fmt: skip
def test_a_secret_that_was_written_into_the_file_is_not_repeated(entry):  # R1.3, R1.11
    nodes_file().write_text(f'[a]\nae_title = "A"\nhost = "h"\nport = 104\n{entry}\n', encoding="utf-8")
    with pytest.raises(InvalidRequest, match="line 5") as caught:
        nodes()
    assert "geheim" not in "".join(traceback.format_exception(caught.value))
