//! Files that are not what they should be: a clear message with row and column, and nothing done.

use crate::fixture::Fixture;
use std::io::Write;
use std::path::Path;
use transfer::import::ImportError;

/// A file is refused with these words, and nothing has happened.
fn assert_rejected(house: &Fixture, path: &Path, words: &str) {
    let before = house.event_count();
    match house.import_with(path, |options| options.update = true) {
        Err(ImportError::File(error)) => {
            assert!(error.to_string().contains(words), "{}: {error}", path.display());
        }
        other => panic!("{}: {other:?}", path.display()),
    }
    assert_eq!(house.event_count(), before, "nothing was done");
}

#[test]
fn malformed_tables_are_rejected() {
    let house = Fixture::new("sqlite");
    let good = "email,first name\na@x.y,A\n";
    let many_options: Vec<String> = (0..20_000).map(|n| format!("member;x{n}: uid=a\n")).collect();
    let many_options = format!("dn: x\nobjectClass: groupOfNames\n{}", many_options.concat());
    for (name, content, words) in [
        ("empty.csv", String::new(), "the file is empty"),
        ("blank.csv", "\n\n".into(), "the file is empty"),
        (
            "twice.csv",
            "email,first,Email\na@x.y,A,b@x.y\n".into(),
            "row 1, column C: Email is the header of column A already",
        ),
        (
            "same.csv",
            "e-mail,mail\na@x.y,b@x.y\n".into(),
            "column mail: it means email, and so does e-mail: ignore one of them with --map 'mail=' or --map 'e-mail='",
        ),
        ("few.csv", format!("{good}b@x.y\n"), "row 3: it has 1 cells where the header has 2 (line 3)"),
        ("many.csv", format!("{good}b@x.y,B,C\n"), "row 3: it has 3 cells where the header has 2"),
        ("cut.csv", format!("{good}b@x.y,\"B"), "row 3: the file ends inside quotes"),
        ("nobody.csv", "colour,shape\nred,round\n".into(), "no column identifies a user"),
        ("long.csv", format!("{good}b@x.y,\"{}\"\n", "x".repeat(10_000_000)), "row 3: a row is longer than 1 MiB"),
        ("open.csv", format!("{good}b@x.y,\"{}", "x\n".repeat(5_000_000)), "row 3: a row is longer than 1 MiB"),
        ("one.ndjson", "{\"email\":\"a@x.y\"}\n{\"email\":\"b@x".into(), "row 2: it is not one whole JSON object"),
        ("list.ndjson", "[1]\n".into(), "row 1: it is JSON and no object"),
        ("long.ndjson", format!("{{\"email\":\"{}\"}}\n", "x".repeat(10_000_000)), "row 1: a row is longer than 1 MiB"),
        ("no.ldif", "uid: a\n".into(), "row 1: an entry begins with its dn"),
        ("bad.ldif", "dn: x\nobjectClass: person\ncn:: ???\n".into(), "column cn: it is no whole Base64"),
        (
            "change.ldif",
            "dn: x\nchangetype: delete\n".into(),
            "row 2: 'changetype: delete' changes an entry that exists; only complete entries can be imported",
        ),
        (
            "twice.ldif",
            "dn: x\nobjectClass: person\nuid: a\ndn: y\nuid: b\n".into(),
            "row 4: a second dn in one entry; entries are separated by an empty line",
        ),
        ("line.ldif", "dn: x\nno colon\n".into(), "it is not an attribute with a value"),
        ("name.ldif", "dn: x\nc\u{7}n: a\n".into(), "the name of the attribute holds a control character"),
        ("options.ldif", many_options, "row 1: there are too many names"),
        ("no.xlsx", "PK no workbook".into(), "it is no whole Excel workbook"),
    ] {
        assert_rejected(&house, &house.file(name, content), words);
    }
    let lone = house.file("lone.csv", [&b"\xFF\xFEe\0,\0f\0\n\0"[..], b"a\0\x00\xD8,\0b\0\n\0"].concat());
    assert_rejected(&house, &lone, "");
    // What was UTF-8 until it was damaged is not taken for another encoding.
    let cut = house.file("cut-letter.csv", [good.as_bytes(), b"b@x.y,J\xC3\xBCrgen\nc@x.y,J\xC3\n"].concat());
    assert_rejected(&house, &cut, "row 4: it is not UTF-8 as the rest is");
    let marked = house.file("marked.csv", [b"\xEF\xBB\xBF", good.as_bytes(), b"b@x.y,J\xFCrgen\n"].concat());
    assert_rejected(&house, &marked, "row 3: it is not UTF-8 as the rest is");
    // What may be anything is not told, where there are no headers.
    let bare = house.file("bare.csv", "Ann,S3cret\nBob,t0ps3cret\n");
    assert_rejected(&house, &bare, "none of them has a name that is known; is the first row one of headers?");
}

/// A part of an .xlsx file: its name and how its bytes go on.
fn workbook(path: &Path, parts: &[(&str, &[u8], u64)]) {
    let file = std::fs::File::create(path).expect("made");
    let mut zip = zip::ZipWriter::new(std::io::BufWriter::new(file));
    for (name, content, zeros) in parts {
        let options = zip::write::SimpleFileOptions::default().large_file(true);
        zip.start_file(*name, options).expect("begun");
        zip.write_all(content).expect("written");
        let block = vec![b'0'; 1 << 20];
        let mut left = *zeros;
        while left > 0 {
            let some = left.min(block.len() as u64);
            zip.write_all(&block[..usize::try_from(some).expect("small")]).expect("written");
            left -= some;
        }
    }
    zip.finish().expect("finished");
}

const TYPES: &[u8] =
    br#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#;
const ROOT: &[u8] = br#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const RELS: &[u8] = br#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;
const BOOK: &[u8] = br#"<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets></workbook>"#;

fn sheet(rows: &str) -> Vec<u8> {
    format!(r#"<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#).into_bytes()
}

#[test]
fn malformed_workbooks_are_rejected() {
    let house = Fixture::new("sqlite");
    let path = |name: &str| house.folder.path().join(name);
    let cell = |place: &str, text: &str| format!(r#"<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>"#);
    let plain = |rows: &str, name: &str| {
        let sheet = sheet(rows);
        workbook(
            &path(name),
            &[
                ("[Content_Types].xml", TYPES, 0),
                ("_rels/.rels", ROOT, 0),
                ("xl/workbook.xml", BOOK, 0),
                ("xl/_rels/workbook.xml.rels", RELS, 0),
                ("xl/worksheets/sheet1.xml", &sheet, 0),
            ],
        );
        path(name)
    };
    let header = format!("<row r=\"1\">{}{}</row>", cell("A1", "email"), cell("B1", "first"));
    let good = plain(&format!("{header}<row r=\"2\">{}</row>", cell("A2", "good@x.y")), "good.xlsx");
    assert_eq!(house.import(&good).users.created, 1, "what these are made with is a workbook");

    assert_rejected(&house, &plain("", "empty.xlsx"), "the file is empty");
    let twice = format!("<row r=\"1\">{}{}</row>", cell("A1", "email"), cell("B1", "EMAIL"));
    assert_rejected(&house, &plain(&twice, "twice.xlsx"), "row 1, column B: EMAIL is the header of column A already");
    let wide = format!("{header}<row r=\"2\">{}</row>", cell("D2", "x"));
    assert_rejected(&house, &plain(&wide, "wide.xlsx"), "row 2, column D: there is a cell without a header above it");
    let turned = format!("<row r=\"1\">{}{}</row>", cell("B1", "email"), cell("A1", "first"));
    assert_rejected(&house, &plain(&turned, "turned.xlsx"), "row 1: its rows or columns are out of order");
    let error = format!("{header}<row r=\"2\"><c r=\"A2\" t=\"e\"><v>#REF!</v></c></row>");
    assert_rejected(&house, &plain(&error, "error.xlsx"), "row 2, column A: the cell holds an error");
    let long = format!("{header}<row r=\"2\">{}</row>", cell("A2", &"x".repeat(10_000_000)));
    assert_rejected(&house, &plain(&long, "long.xlsx"), "holds a cell of more than 1 MiB");

    // One cell of very many runs, each of them short.
    let mut dice = testkit::generators::Rng::new(1);
    let run = || format!("<r><t>{}</t></r>", dice.below(1 << 40));
    let runs = std::iter::repeat_with(run).take(2_700_000).collect::<Vec<_>>().concat();
    let runs = format!("{header}<row r=\"2\"><c r=\"A2\" t=\"inlineStr\"><is>{runs}</is></c></row>");
    assert_rejected(&house, &plain(&runs, "runs.xlsx"), "holds a cell of more than 64 MiB");

    let whole = std::fs::read(&good).expect("read");
    assert_rejected(&house, &house.file("cut.xlsx", &whole[..whole.len() / 2]), "it is no whole Excel workbook");
    let mut bent = whole.clone();
    let middle = bent.windows(4).position(|bytes| bytes == b"PK\x01\x02").expect("a directory") - 40;
    bent[middle] ^= 0xFF;
    assert_rejected(&house, &house.file("bent.xlsx", bent), "");
}

/// 10 GB of zeros in a file of 10 MB: told within seconds, in little memory.
#[test]
fn zip_bombs_are_rejected() {
    let house = Fixture::new("memory");
    let path = house.folder.path().join("bomb.xlsx");
    let begin = br#"<?xml version="1.0"?><worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>"#;
    workbook(
        &path,
        &[
            ("xl/workbook.xml", BOOK, 0),
            ("xl/_rels/workbook.xml.rels", RELS, 0),
            ("xl/worksheets/sheet1.xml", begin, 10_000_000_000),
        ],
    );
    let small = std::fs::metadata(&path).expect("there").len();
    assert!(small < 64 << 20, "{small} bytes");
    assert_rejected(&house, &path, "xl/worksheets/sheet1.xml holds a cell of more than 1 MiB");
    // With tags between, and where nobody would look for cells.
    let path = house.folder.path().join("media.xlsx");
    workbook(&path, &[("xl/workbook.xml", BOOK, 0), ("xl/media/zeros.png", b"", 1_000_000_000)]);
    assert_rejected(&house, &path, "is larger inside than a workbook of people can be");
    let path = house.folder.path().join("texts.xlsx");
    let many = br#"<?xml version="1.0"?><sst count="9" uniqueCount="9999999999999"><si><t>x</t></si></sst>"#;
    workbook(&path, &[("xl/workbook.xml", BOOK, 0), ("xl/sharedStrings.xml", many, 0)]);
    assert_rejected(&house, &path, "announces more texts than it can hold");
}
