//! Malformed files: a message with row and column, and no changes.

use crate::fixture::Fixture;
use std::io::Write;
use std::path::Path;
use transfer::import::ImportError;

/// Asserts that a file is rejected with an error that contains `words`, and nothing changes.
fn assert_rejected(fixture: &Fixture, path: &Path, words: &str) {
    let before = fixture.event_count();
    match fixture.import_with(path, |options| options.update = true) {
        Err(ImportError::File(error)) => {
            assert!(error.to_string().contains(words), "{}: {error}", path.display());
        }
        other => panic!("{}: {other:?}", path.display()),
    }
    assert_eq!(fixture.event_count(), before, "no changes");
}

#[test]
fn malformed_tables_are_rejected() {
    let fixture = Fixture::new("sqlite");
    let good = "email,first name\na@x.y,A\n";
    let many_options: Vec<String> = (0..20_000).map(|n| format!("member;x{n}: uid=a\n")).collect();
    let many_options = format!("dn: x\nobjectClass: groupOfNames\n{}", many_options.concat());
    for (name, content, words) in [
        ("empty.csv", String::new(), "the file is empty"),
        ("blank.csv", "\n\n".into(), "the file is empty"),
        (
            "twice.csv",
            "email,first,Email\na@x.y,A,b@x.y\n".into(),
            "row 1, column C: duplicate header 'Email' (also in column A)",
        ),
        (
            "same.csv",
            "e-mail,mail\na@x.y,b@x.y\n".into(),
            "column mail: same meaning as 'e-mail' (email); ignore one of them with --map 'mail=' or --map 'e-mail='",
        ),
        ("few.csv", format!("{good}b@x.y\n"), "row 3: the row has 1 cells, but the header has 2 (line 3;"),
        ("many.csv", format!("{good}b@x.y,B,C\n"), "row 3: the row has 3 cells, but the header has 2"),
        ("cut.csv", format!("{good}b@x.y,\"B"), "row 3: the file ends inside a quoted cell"),
        ("nobody.csv", "colour,shape\nred,round\n".into(), "no column identifies users"),
        ("long.csv", format!("{good}b@x.y,\"{}\"\n", "x".repeat(10_000_000)), "row 3: the row is longer than 1 MiB"),
        ("open.csv", format!("{good}b@x.y,\"{}", "x\n".repeat(5_000_000)), "row 3: the row is longer than 1 MiB"),
        ("one.ndjson", "{\"email\":\"a@x.y\"}\n{\"email\":\"b@x".into(), "row 2: not a complete JSON object"),
        ("list.ndjson", "[1]\n".into(), "row 1: each line must be a JSON object"),
        (
            "long.ndjson",
            format!("{{\"email\":\"{}\"}}\n", "x".repeat(10_000_000)),
            "row 1: the row is longer than 1 MiB",
        ),
        ("no.ldif", "uid: a\n".into(), "row 1: an entry must begin with its dn"),
        ("bad.ldif", "dn: x\nobjectClass: person\ncn:: ???\n".into(), "column cn: the value is not valid Base64"),
        (
            "change.ldif",
            "dn: x\nchangetype: delete\n".into(),
            "row 2: 'changetype: delete' modifies an existing entry; only complete entries can be imported",
        ),
        (
            "twice.ldif",
            "dn: x\nobjectClass: person\nuid: a\ndn: y\nuid: b\n".into(),
            "row 4: a second dn in one entry; separate entries by an empty line",
        ),
        ("line.ldif", "dn: x\nno colon\n".into(), "not an attribute line"),
        ("name.ldif", "dn: x\nc\u{7}n: a\n".into(), "the attribute name contains a control character"),
        ("options.ldif", many_options, "row 1: more than 10,000 attribute names"),
        ("no.xlsx", "PK no workbook".into(), "not a valid Excel workbook"),
    ] {
        assert_rejected(&fixture, &fixture.file(name, content), words);
    }
    let lone = fixture.file("lone.csv", [&b"\xFF\xFEe\0,\0f\0\n\0"[..], b"a\0\x00\xD8,\0b\0\n\0"].concat());
    assert_rejected(&fixture, &lone, "");
    // A damaged UTF-8 file is not read in another encoding.
    let cut = fixture.file("cut-letter.csv", [good.as_bytes(), b"b@x.y,J\xC3\xBCrgen\nc@x.y,J\xC3\n"].concat());
    assert_rejected(&fixture, &cut, "row 4: invalid UTF-8");
    let marked = fixture.file("marked.csv", [b"\xEF\xBB\xBF", good.as_bytes(), b"b@x.y,J\xFCrgen\n"].concat());
    assert_rejected(&fixture, &marked, "row 3: invalid UTF-8");
    // The message contains no data of a file without headers.
    let bare = fixture.file("bare.csv", "Ann,S3cret\nBob,t0ps3cret\n");
    assert_rejected(&fixture, &bare, "no header is known; check that the first row has headers");
}

/// Writes an .xlsx file: each part has a name, its first bytes, and a number of zeros after them.
fn workbook(path: &Path, parts: &[(&str, &[u8], u64)]) {
    let file = std::fs::File::create(path).expect("made");
    let mut zip = zip::ZipWriter::new(std::io::BufWriter::new(file));
    for (name, content, zeros) in parts {
        let options = zip::write::SimpleFileOptions::default().large_file(true);
        zip.start_file(*name, options).expect("started");
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
    let fixture = Fixture::new("sqlite");
    let path = |name: &str| fixture.folder.path().join(name);
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
    assert_eq!(fixture.import(&good).users.created, 1, "the helper writes valid workbooks");

    assert_rejected(&fixture, &plain("", "empty.xlsx"), "the file is empty");
    let twice = format!("<row r=\"1\">{}{}</row>", cell("A1", "email"), cell("B1", "EMAIL"));
    assert_rejected(
        &fixture,
        &plain(&twice, "twice.xlsx"),
        "row 1, column B: duplicate header 'EMAIL' (also in column A)",
    );
    let wide = format!("{header}<row r=\"2\">{}</row>", cell("D2", "x"));
    assert_rejected(&fixture, &plain(&wide, "wide.xlsx"), "row 2, column D: the cell has no header above it");
    let turned = format!("<row r=\"1\">{}{}</row>", cell("B1", "email"), cell("A1", "first"));
    assert_rejected(&fixture, &plain(&turned, "turned.xlsx"), "row 1: rows or columns are out of order");
    let error = format!("{header}<row r=\"2\"><c r=\"A2\" t=\"e\"><v>#REF!</v></c></row>");
    assert_rejected(&fixture, &plain(&error, "error.xlsx"), "row 2, column A: the cell contains an error");
    let long = format!("{header}<row r=\"2\">{}</row>", cell("A2", &"x".repeat(10_000_000)));
    assert_rejected(&fixture, &plain(&long, "long.xlsx"), "contains a cell of more than 1 MiB");

    // One cell of very many short runs.
    let mut rng = testkit::generators::Rng::new(1);
    let run = || format!("<r><t>{}</t></r>", rng.below(1 << 40));
    let runs = std::iter::repeat_with(run).take(2_700_000).collect::<Vec<_>>().concat();
    let runs = format!("{header}<row r=\"2\"><c r=\"A2\" t=\"inlineStr\"><is>{runs}</is></c></row>");
    assert_rejected(&fixture, &plain(&runs, "runs.xlsx"), "contains a cell of more than 64 MiB");

    let whole = std::fs::read(&good).expect("read");
    assert_rejected(&fixture, &fixture.file("cut.xlsx", &whole[..whole.len() / 2]), "not a valid Excel workbook");
    let mut bent = whole.clone();
    let middle = bent.windows(4).position(|bytes| bytes == b"PK\x01\x02").expect("a directory") - 40;
    bent[middle] ^= 0xFF;
    assert_rejected(&fixture, &fixture.file("bent.xlsx", bent), "");
}

/// 10 GB of zeros in a file of 10 MB: rejected within seconds, with little memory.
#[test]
fn zip_bombs_are_rejected() {
    let fixture = Fixture::new("memory");
    let path = fixture.folder.path().join("bomb.xlsx");
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
    assert_rejected(&fixture, &path, "xl/worksheets/sheet1.xml contains a cell of more than 1 MiB");
    // In a part without cells.
    let path = fixture.folder.path().join("media.xlsx");
    workbook(&path, &[("xl/workbook.xml", BOOK, 0), ("xl/media/zeros.png", b"", 1_000_000_000)]);
    assert_rejected(&fixture, &path, "is too large when uncompressed");
    let path = fixture.folder.path().join("texts.xlsx");
    let many = br#"<?xml version="1.0"?><sst count="9" uniqueCount="9999999999999"><si><t>x</t></si></sst>"#;
    workbook(&path, &[("xl/workbook.xml", BOOK, 0), ("xl/sharedStrings.xml", many, 0)]);
    assert_rejected(&fixture, &path, "declares more strings than it can contain");
}
