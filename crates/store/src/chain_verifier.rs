//! Verifies event chains, event by event.

use crate::event_chain::{ChainEnd, ChainHash, StoredEvent, next_chain_hash};
use directory::{ChainReport, EventPosition, TenantNumber};
use std::collections::BTreeMap;

/// Verifies the chains of several tenants in one pass over their events.
pub struct ChainsVerifier(BTreeMap<u32, ChainVerifier>);

impl ChainsVerifier {
    /// `ends` are the stored ends of the chains, by tenant. Read them before the events: later events may follow them.
    pub fn new(ends: BTreeMap<u32, ChainEnd>) -> Self {
        let verifier =
            |end: ChainEnd| ChainVerifier::new(end.unchained.into(), end.link.map(|link| (end.position, link)));
        Self(ends.into_iter().map(|(tenant, end)| (tenant, verifier(end))).collect())
    }

    /// Events must be added in the order of their positions.
    pub fn add(&mut self, stored: &StoredEvent) {
        self.0.entry(stored.event.tenant).or_default().add(stored);
    }

    /// An event cannot be read.
    pub fn break_at(&mut self, tenant: u32, position: u64) {
        self.0.entry(tenant).or_default().break_at(position);
    }

    pub fn finish(self) -> BTreeMap<TenantNumber, ChainReport> {
        self.0.into_iter().map(|(tenant, chain)| (TenantNumber(tenant), chain.finish())).collect()
    }
}

/// Events that were linked together.
struct LinkedEvents {
    link: ChainHash,
    digests: Vec<ChainHash>,
    /// Positions of the first and last one.
    first: u64,
    end: u64,
}

#[derive(Default)]
struct ChainVerifier {
    report: ChainReport,
    /// The number of events from before the chain.
    unchained: u64,
    last: ChainHash,
    /// The events that are being read.
    open: Option<LinkedEvents>,
    /// The stored end, until it is reached; newer events may follow it.
    end: Option<(u64, ChainHash)>,
}

impl ChainVerifier {
    /// `end` is the stored end of the chain.
    fn new(unchained: u64, end: Option<(u64, ChainHash)>) -> Self {
        Self { unchained, end, ..Self::default() }
    }

    /// Adds an event. Does nothing once the chain is broken.
    fn add(&mut self, stored: &StoredEvent) {
        if self.open.as_ref().is_some_and(|open| open.end != stored.end) {
            self.finish_linked();
        }
        if self.report.broken_at.is_some() {
            return;
        }
        let position = stored.event.position;
        let Some(link) = stored.link.filter(|_| !stored.event.is_unchained) else {
            let is_old = stored.event.is_unchained && stored.link.is_none();
            let is_first = self.report.verified_events == 0 && self.open.is_none();
            if is_old && is_first && self.report.unchained_events < self.unchained {
                self.report.unchained_events += 1;
            } else {
                self.break_at(position);
            }
            return;
        };
        let digest = stored.event.digest();
        if stored.digest.is_some_and(|stored| stored != digest) {
            self.break_at(position);
            return;
        }
        let open = LinkedEvents { link, digests: Vec::new(), first: position, end: stored.end };
        self.open.get_or_insert(open).digests.push(digest);
    }

    fn break_at(&mut self, position: u64) {
        self.report.broken_at.get_or_insert(EventPosition(position));
    }

    fn finish_linked(&mut self) {
        let Some(open) = self.open.take().filter(|_| self.report.broken_at.is_none()) else { return };
        let link = next_chain_hash(&self.last, open.end, &open.digests);
        if link != open.link {
            self.break_at(open.first);
            return;
        }
        self.last = link;
        self.report.verified_events += open.digests.len() as u64;
        self.report.last_position = EventPosition(open.end);
        self.report.head_hash = Some(link);
        self.end = self.end.filter(|end| *end != (open.end, link));
    }

    /// Checks that the stored end was reached, and the number of events from before the chain.
    fn finish(mut self) -> ChainReport {
        self.finish_linked();
        if self.end.is_some() || self.report.unchained_events != self.unchained {
            let end = self.end.map_or(0, |(position, _)| position);
            self.break_at(end.max(self.report.last_position.0));
        }
        self.report
    }
}
