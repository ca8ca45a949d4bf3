//! Rows as commands: each is read, what it refers to is found, and a good many are under way at the same time. Rows of one
//! kind do not wait for one another; rows of the next kind wait for all before them, since they may refer to them.

use super::begun::{Begun, Said, begin, of_one_kind};
use super::file::Identity;
use super::keys::user_keys;
use super::reading::reading;
use super::references::{self, Deferred, identifying};
use super::refused::RejectedRows;
use super::report::{Outcome, Report};
use super::resumed::Resumed;
use super::under_way::UnderWay;
use super::{ImportError, Options, Scan, person, thing};
use crate::column::{Kind, Rule, What};
use crate::formats::Row;
use crate::ignored::{Ignored, Part, Reason};
use crate::import::job::{Done, Job, People, somebody};
use crate::refer::References;
use crate::words::in_words;
use directory::{Caller, Directory, DirectoryError, ItemKind, User, UserKey};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};
use std::collections::HashSet;
use std::sync::Arc;

/// People who are looked for at the same time.
const AT_ONCE: usize = 64;

/// The users that rows are about.
#[derive(Default)]
pub(super) struct Present {
    pub(super) users: People,
    /// Rejected rows that name no user who exists.
    pub(super) unmatched: u64,
}

/// Imports all rows.
pub(super) async fn all(
    directory: &Arc<Directory>,
    caller: &Caller,
    options: &Options,
    scan: &Scan,
    seen: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<(Report, Present), ImportError> {
    let stopped = |refusal| ImportError::Stopped { row: 0, refusal };
    let job = Job::new(directory, caller, options, scan).await.map_err(stopped)?;
    let mut references = References::new(directory, caller, options.is_preview);
    let mut end = End {
        scan,
        report: Report { ignored: scan.ignored.clone(), ..Report::default() },
        people: People::default(),
        deferred: Vec::new(),
        deleted: 0,
        refused: RejectedRows::new(options, scan),
        refused_items: HashSet::new(),
        rejected_users: Vec::new(),
        lost_passwords: 0,
        options,
        seen,
    };
    let (mut twice, now) = (scan.twice.clone(), directory.now());
    let (mut known, mut under_way) = (People::default(), UnderWay::default());
    let (mut rows, mut last) = (reading(options), None);
    let read = async {
        while let Some(parcel) = under_way.beside(rows.recv()).await {
            let begun = |row| begin(scan, &mut twice, row, (now, job.ignores_roles));
            let parcel: Vec<Begun> = parcel?.into_iter().filter_map(begun).collect();
            for mut some in of_one_kind(parcel) {
                let kind = some.first().map(|begun| begun.kind);
                // Rows of another kind may refer to those before them, and roles are known by the order they come in.
                if last.replace(kind) != Some(kind) || kind == Some(Kind::Item(ItemKind::Role)) {
                    while let Some(done) = under_way.next().await {
                        end.take(done)?;
                    }
                }
                // Existing users and their groups are looked up in batches, since rows name the same ones.
                under_way.beside(find_people(&job, &mut some)).await.map_err(stopped)?;
                once_each(&mut known, &mut some);
                skip(&job, &mut some);
                under_way.beside(find_places(&job, &mut references, &some)).await.map_err(stopped)?;
                for begun in some {
                    while under_way.is_full() {
                        if let Some(done) = under_way.next().await {
                            end.take(done)?;
                        }
                    }
                    let task = Box::pin(under_way.beside(carry_out(&job, &mut references, begun))).await;
                    under_way.rows.push_back(task);
                }
            }
        }
        while let Some(done) = under_way.next().await {
            end.take(done)?;
        }
        Ok(())
    };
    let read: Result<(), ImportError> = Box::pin(read).await;
    if read.is_err() {
        // Rows that have begun are finished and counted: nothing goes on once an import has ended.
        while let Some(done) = under_way.next().await {
            drop(end.take(done));
        }
    }
    read?;
    end.report.made = references.made.len() as u64;
    end.references(&job).await?;
    end.note_left_out(&job);
    let present = end.present(&job).await?;
    Ok((end.report, present))
}

/// Where rows go when they are done.
struct End<'a> {
    scan: &'a Scan,
    options: &'a Options,
    report: Report,
    people: People,
    refused: RejectedRows<'a>,
    /// Rows of items that were refused.
    refused_items: HashSet<u64>,
    /// Users whose managers were not there yet.
    deferred: Vec<Deferred>,
    /// Users who are deleted according to the file.
    deleted: u64,
    /// What identifies the users of rejected rows, if missing users are deactivated.
    rejected_users: Vec<Vec<UserKey>>,
    lost_passwords: u64,
    seen: &'a mut (dyn FnMut(u64) -> bool + Send),
}

impl End<'_> {
    /// Checks that all rows were imported, and looks up the users of rejected ones.
    async fn present(&mut self, job: &Job<'_>) -> Result<Present, ImportError> {
        let (rows, scan) = (self.report.rows(), self.scan);
        if rows != scan.rows || Identity::of(&self.options.path).ok() != scan.identity {
            return Err(ImportError::Changed { rows, expected: scan.rows });
        }
        let mut present = Present { users: std::mem::take(&mut self.people), unmatched: 0 };
        let found = std::mem::take(&mut self.rejected_users).into_iter().map(|keys| async move {
            let mut numbers = Vec::new();
            for key in keys {
                numbers.extend(somebody(job, key).await?.map(|user| user.number));
            }
            Ok(numbers)
        });
        let mut found = futures_util::stream::iter(found).buffer_unordered(AT_ONCE);
        while let Some(numbers) = found.next().await {
            let numbers = numbers.map_err(|refusal| ImportError::Stopped { row: 0, refusal })?;
            present.unmatched += u64::from(numbers.is_empty());
            for number in numbers {
                present.users.add(number);
            }
        }
        Ok(present)
    }

    /// Carries out references to users, whose rows are all done.
    async fn references(&mut self, job: &Job<'_>) -> Result<(), ImportError> {
        let deferred = std::mem::take(&mut self.deferred);
        references::managers(job, deferred, &mut self.report, &mut self.refused, self.seen).await?;
        if self.scan.has_members {
            let skipped = &self.refused_items;
            references::members(job, skipped, &mut self.report, &mut self.refused, self.seen).await?;
        }
        Ok(())
    }

    /// Notes what was left out, and what could not be written.
    fn note_left_out(&mut self, job: &Job<'_>) {
        if self.deleted > 0 {
            let is_it = |what| matches!(what, What::State(Rule::Deleted) | What::Status);
            let name = self.scan.header_of(is_it).unwrap_or_default().to_owned();
            let (part, reason, count) = (Part::User, Reason::Deleted, self.deleted);
            self.report.ignored.push(Ignored { part, name, reason, count });
        }
        if job.ignores_roles {
            let name = self.scan.header_of(|what| what == What::Role).unwrap_or_default().to_owned();
            let (part, reason, count) = (Part::Column, Reason::UnknownRoles, self.scan.role_values);
            self.report.ignored.push(Ignored { part, name, reason, count });
        }
        for note in &self.scan.notes {
            self.report.note(note.clone());
        }
        match self.scan.entries.shared_names() {
            0 => {}
            1 => self.report.note("Several groups have the same name; each of them is called by its distinguished name.".to_owned()),
            many => self.report.note(format!(
                "{many} names are each those of several groups; these groups are called by their distinguished names."
            )),
        }
        if self.lost_passwords > 0 {
            let (many, were) = match self.lost_passwords {
                1 => ("1 password".to_owned(), "was"),
                many => (format!("{many} passwords"), "were"),
            };
            self.report.note(format!("{many} {were} left out, too short, or in a form that cannot be verified here (Argon2, bcrypt, PBKDF2 and scrypt can)."));
        }
        if let Some(error) = self.refused.finish() {
            self.report.note(format!("The file of rejected rows could not be written: {error}."));
        }
        if let Some(remark) = job.resumed.as_ref().and_then(Resumed::remark) {
            self.report.note(remark);
        }
    }

    fn take(&mut self, done: Done) -> Result<(), ImportError> {
        let Done { kind, row, outcome, user, lost_password, is_deleted, manager } = done;
        self.lost_passwords += u64::from(lost_password);
        self.deleted += u64::from(is_deleted);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(
                refusal @ (DirectoryError::Unavailable(_)
                | DirectoryError::Internal(_)
                | DirectoryError::Busy { .. }
                | DirectoryError::ConnectionEnded),
            ) => {
                return Err(ImportError::Stopped { row: row.number, refusal });
            }
            Err(refusal) => Outcome::Refused(in_words(&refusal, |field| self.scan.called(field))),
        };
        if let Some((number, _)) = user {
            self.people.add(number);
        }
        // A row that changed nothing is counted when its manager is known.
        let is_left = outcome == Outcome::Left;
        if !(is_left && manager.is_some()) {
            self.report.count(kind, row.number, &outcome);
        }
        if let Outcome::Refused(why) = &outcome {
            if kind != Kind::User {
                self.refused_items.insert(row.number);
            } else if self.options.deactivates_missing {
                self.rejected_users.push(user_keys(&self.scan.cells(&row, kind, &mut |_, _, _| {})));
            }
            self.refused.row(row, why);
        } else if let Some(manager) = manager {
            let (row, user) = (identifying(self.scan, row), user.map(|(_, id)| id));
            self.deferred.push(Deferred { row, user, manager, is_left });
        }
        if (self.seen)(1) { Ok(()) } else { Err(ImportError::CalledOff) }
    }
}

/// Two rows that are about the same person, who is known by something else in each, leave open which of them counts.
fn once_each(known: &mut People, parcel: &mut [Begun]) {
    for begun in parcel {
        let Said::Known(_, user) = &begun.said else { continue };
        if known.holds(user.number) {
            begun.said = Said::Nothing("it is about the same person as an earlier row".into());
        } else {
            known.add(user.number);
        }
    }
}

/// Sets aside the rows of an interrupted import that are not to be executed again.
fn skip(job: &Job<'_>, parcel: &mut [Begun]) {
    let Some(resumed) = &job.resumed else { return };
    for begun in parcel {
        match &begun.said {
            Said::Known(said, user) if job.options.updates => {
                if let Some(outcome) = resumed.skip(user) {
                    let manager = job.manager_to_set(said, user);
                    begun.said = Said::Skipped(outcome, (user.number, user.id), manager);
                }
            }
            Said::Person(said) => {
                if let Some(why) = resumed.rejection(said) {
                    begun.said = Said::Nothing(why.into());
                }
            }
            _ => {}
        }
        if let Said::Known(said, _) | Said::Person(said) = &begun.said
            && let Some(name) = resumed.deleted_reference(said)
        {
            begun.said = Said::Nothing(format!("{name} was deleted after this import started"));
        }
    }
}

/// Finds those who are there.
async fn find_people(job: &Job<'_>, parcel: &mut [Begun]) -> Result<(), DirectoryError> {
    let people = parcel.iter_mut().map(|begun| async {
        let Said::Person(said) = &begun.said else { return Ok(()) };
        match person::find(job, said).await? {
            person::Who::Nobody => {}
            person::Who::Doubtful(why) => begun.said = Said::Nothing(why),
            person::Who::There(user) => {
                let said = std::mem::replace(&mut begun.said, Said::Nothing(String::new()));
                if let Said::Person(said) = said {
                    begun.said = Said::Known(said, user);
                }
            }
        }
        Ok(())
    });
    futures_util::stream::iter(people).buffer_unordered(AT_ONCE).try_collect().await
}

/// Finds or makes what those belong to who will be made or changed.
async fn find_places(
    job: &Job<'_>,
    references: &mut References<'_>,
    parcel: &[Begun],
) -> Result<(), DirectoryError> {
    let people = || {
        parcel.iter().filter_map(|begun| match &begun.said {
            Said::Person(said) => Some(said),
            Said::Known(said, _) if job.options.updates => Some(said),
            _ => None,
        })
    };
    let managers = people().filter_map(|said| said.manager.as_ref());
    references.look_up_users(managers.flat_map(|text| job.scan.user_keys(text))).await?;
    references.ready(ItemKind::Group, people().filter_map(|said| said.groups.as_ref()).flatten()).await?;
    references.ready(ItemKind::Folder, people().filter_map(|said| said.folders.as_ref()).flatten()).await?;
    references.ready(ItemKind::Organization, people().filter_map(|said| said.organisation())).await?;
    references.ready(ItemKind::Department, people().filter_map(|said| said.department())).await
}

async fn person<'a>(
    job: &'a Job<'_>,
    references: &mut References<'_>,
    said: crate::person::Said,
    before: Option<User>,
    row: Row,
) -> BoxFuture<'a, Done> {
    let user = before.as_ref().map(|before| (before.number, before.id));
    match person::prepare(job, references, said, &row).await {
        Ok(ready) => Box::pin(person::carry_out(job, ready, before, row)),
        Err(refusal) => {
            Box::pin(std::future::ready(Done { user, ..Done::new(Kind::User, row, Err(refusal)) }))
        }
    }
}

/// Begins to carry a row out, beside others.
async fn carry_out<'a>(
    job: &'a Job<'_>,
    references: &mut References<'_>,
    begun: Begun,
) -> BoxFuture<'a, Done> {
    let Begun { kind, row, said } = begun;
    match said {
        Said::Nothing(why) => Box::pin(std::future::ready(Done::new(kind, row, Ok(Outcome::Refused(why))))),
        Said::Known(said, user) if !job.options.updates => {
            let (outcome, manager) = (Ok(job.user_left(&user)), job.manager_to_set(&said, &user));
            let user = Some((user.number, user.id));
            Box::pin(std::future::ready(Done { user, manager, ..Done::new(kind, row, outcome) }))
        }
        Said::Skipped(outcome, user, manager) => {
            let user = Some(user);
            Box::pin(std::future::ready(Done { user, manager, ..Done::new(kind, row, Ok(outcome)) }))
        }
        Said::Known(said, user) => person(job, references, *said, Some(*user), row).await,
        Said::Person(said) => person(job, references, *said, None, row).await,
        Said::Item(item_kind, said) => {
            let restricted = thing::restriction(references, &said).await;
            if job.options.is_preview {
                thing::note_coming(references, item_kind, &said);
            }
            Box::pin(thing::carry_out(job, item_kind, *said, restricted, row))
        }
    }
}
