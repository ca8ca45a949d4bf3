//! Columns that are states of accounts depending on header and values.

use crate::other_systems::import_text;
use directory::Status;

#[test]
fn a_status_header_requires_matching_values() {
    let text = "email,MFA Status,Aktiviert am,Account Confirmed,Terminated,Geblokkeerd,Cuenta activa\n\
        a@x.y,Disabled,2024-01-01,No,31.12.2024,Nee,sí\n\
        b@x.y,Disabled,2024-01-01,No,,Ja,sí\n\
        c@x.y,Disabled,2024-01-01,No,,Nee,no\n";
    let got = import_text("p.csv", text);
    let status = |login: &str| got.fixture.user(login).status;
    assert_eq!(
        [status("a@x.y"), status("b@x.y"), status("c@x.y")],
        [Status::Active, Status::Inactive, Status::Inactive],
        "{:?}",
        got.report
    );
    let ignored: Vec<&str> = got.report.ignored.iter().map(|ignored| ignored.name.as_str()).collect();
    assert_eq!(ignored, ["Account Confirmed", "Aktiviert am", "MFA Status", "Terminated"]);
    assert!(got.report.notes.iter().any(|note| note.contains("'Terminated'") && note.contains("--map")));
}

#[test]
fn users_with_a_future_leaving_date_are_active() {
    let got = import_text("p.csv", "email,Disabled,Ausgeschieden\na@x.y,2999-12-31,2999-12-31\nb@x.y,2020-01-01,\n");
    assert_eq!(got.fixture.user("a@x.y").status, Status::Active);
    assert_eq!(got.fixture.user("b@x.y").status, Status::Inactive);
}
