//! What waits to be sent, what is being sent, what will be tried again, and who waits for that. No I/O, no clock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{FlushReport, Letter, Origin, Outgoing, Settings};
use crate::env::Random;
use crate::error::{Error, ErrorKind};

pub(super) struct Queue {
    settings: Settings,
    /// Batches that may still grow, oldest first.
    gathering: VecDeque<Gathering>,
    /// How many batches have left `gathering`: the number of its first one.
    left: u64,
    /// Number of the newest batch of an origin, if it may still grow.
    open: HashMap<Arc<Origin>, u64>,
    /// Batches with a number below this do not linger.
    hurried: u64,
    /// Batches that failed, with the time of the next attempt.
    retries: Vec<(Instant, Sealed)>,
    sending: HashMap<u64, Sealed>,
    telemetry: Telemetry,
    flushes: Vec<Flush>,
    next_sequence: u64,
    next_id: u64,
    /// Notifications without an outcome, and their bytes.
    queued: usize,
    bytes: usize,
    /// The client is closing: nothing lingers, retries come soon.
    draining: bool,
    shut: bool,
    pub(super) counters: Counters,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    pub(super) refused: u64,
    pub(super) requests: u64,
    pub(super) retries: u64,
}

/// When measurements are sent without notifications.
#[derive(Default)]
struct Telemetry {
    due: Option<Instant>,
    /// After a failure: not earlier than this, however many there are.
    not_before: Option<Instant>,
    /// What a flush waits for, if it asked for the measurements.
    unit: Option<u64>,
    sending: bool,
}

struct Gathering {
    origin: Arc<Origin>,
    notifications: Vec<String>,
    sequences: Vec<u64>,
    bytes: usize,
    created: Instant,
}

/// A batch that does not change any more, so that all attempts send the same.
struct Sealed {
    letter: Arc<Letter>,
    sequences: Vec<u64>,
    bytes: usize,
    created: Instant,
    attempts: u32,
}

/// Somebody waits for the outcome of everything with a sequence number below `limit`.
struct Flush {
    id: u64,
    limit: u64,
    /// What has no outcome yet, measurements included.
    open: usize,
    report: FlushReport,
    done: Option<oneshot::Sender<()>>,
}

/// A letter that was given up.
pub(super) struct Dropped {
    pub(super) letter: Arc<Letter>,
    pub(super) error: Error,
}

impl Queue {
    pub(super) fn new(settings: Settings) -> Queue {
        Queue {
            settings,
            gathering: VecDeque::new(),
            left: 0,
            open: HashMap::new(),
            hurried: 0,
            retries: Vec::new(),
            sending: HashMap::new(),
            telemetry: Telemetry::default(),
            flushes: Vec::new(),
            next_sequence: 0,
            next_id: 0,
            queued: 0,
            bytes: 0,
            draining: false,
            shut: false,
            counters: Counters::default(),
        }
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    /// Notifications without an outcome, and their bytes.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.queued, self.bytes)
    }

    /// Whether nothing stays behind of what has an outcome.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        let batches = self.gathering.len() + self.retries.len() + self.sending.len();
        batches + self.open.len() + self.flushes.len() + self.queued + self.bytes == 0
    }

    /// Takes all notifications or none. `Ok(true)`: the sender has to look.
    pub(super) fn push(
        &mut self,
        origin: &Arc<Origin>,
        notifications: &mut Vec<String>,
        now: Instant,
    ) -> Result<bool, Error> {
        let refusal = if self.shut {
            Some(Error::new(ErrorKind::Closed, "the client is closed"))
        } else {
            let bytes = origin.bytes() + notifications.iter().map(String::len).sum::<usize>();
            let full = self.queued + notifications.len() > self.settings.max_notifications
                || self.bytes.saturating_add(bytes) > self.settings.max_bytes;
            full.then(|| {
                let message =
                    format!("the queue of notifications is full ({} notifications, {} bytes)", self.queued, self.bytes);
                Error::new(ErrorKind::QueueFull, message)
            })
        };
        if let Some(error) = refusal {
            self.counters.refused += notifications.len() as u64;
            return Err(error);
        }
        let mut wake = false;
        for notification in notifications.drain(..) {
            wake |= self.gather(origin, notification, now);
        }
        Ok(wake)
    }

    fn gather(&mut self, origin: &Arc<Origin>, notification: String, now: Instant) -> bool {
        self.counters.accepted += 1;
        self.queued += 1;
        self.bytes += notification.len();
        let (bytes, sequence) = (notification.len(), self.next_sequence);
        self.next_sequence += 1;
        let number = self.open.get(origin).and_then(|number| number.checked_sub(self.left));
        let place = number.and_then(|ahead| usize::try_from(ahead).ok());
        if let Some(batch) = place.and_then(|place| self.gathering.get_mut(place)) {
            batch.notifications.push(notification);
            batch.sequences.push(sequence);
            batch.bytes += bytes;
            let full = batch.notifications.len() >= self.settings.max_batch;
            if full {
                self.open.remove(origin);
            }
            return full;
        }
        let bytes = bytes + origin.bytes();
        self.bytes += origin.bytes();
        if self.settings.max_batch > 1 {
            self.open.insert(origin.clone(), self.left + self.gathering.len() as u64);
        }
        self.gathering.push_back(Gathering {
            origin: origin.clone(),
            notifications: vec![notification],
            sequences: vec![sequence],
            bytes,
            created: now,
        });
        // A later batch is not due before an earlier one, and the sender knows of that.
        self.gathering.len() == 1
    }

    /// `pending` measurements wait: they are due at once if there are many, else after a while. Says whether the sender
    /// has to look.
    pub(super) fn note_telemetry(&mut self, pending: usize, now: Instant) -> bool {
        if self.shut || pending == 0 {
            return false;
        }
        let many = pending >= self.settings.telemetry_threshold;
        let mut due = if many { now } else { now + self.settings.telemetry_interval };
        if let Some(earliest) = self.telemetry.not_before {
            due = due.max(earliest);
        }
        let sooner = self.telemetry.due.is_none_or(|planned| due < planned);
        if sooner {
            self.telemetry.due = Some(due);
        }
        sooner
    }

    /// Whether a further measurement changes nothing, as long as there are few.
    pub(super) fn expects_telemetry(&self) -> bool {
        self.telemetry.due.is_some()
    }

    /// The next letter to send, if one is due. `pending` says how many measurements wait.
    pub(super) fn take_due(
        &mut self,
        now: Instant,
        random: &dyn Random,
        pending: &dyn Fn() -> usize,
    ) -> Option<(u64, Outgoing)> {
        if self.shut {
            return None;
        }
        if let Some(at) = self.retries.iter().position(|(due, _)| *due <= now) {
            self.counters.retries += 1;
            let (_, sealed) = self.retries.swap_remove(at);
            return Some(self.begin(sealed));
        }
        if self.gathering_due().is_some_and(|due| due <= now) {
            let sealed = self.seal_first(random)?;
            return Some(self.begin(sealed));
        }
        if self.telemetry_due().is_some_and(|due| due <= now) {
            self.telemetry.due = None;
            let unit = self.telemetry.unit.take();
            if pending() == 0 {
                // They travelled with another request.
                self.settle_sequences(unit.as_slice(), false, true);
                return None;
            }
            let sequence = unit.unwrap_or_else(|| {
                self.next_sequence += 1;
                self.next_sequence - 1
            });
            self.telemetry.sending = true;
            let letter = Arc::new(Letter { request_id: random.id(), origin: None, notifications: Vec::new() });
            return Some(self.begin(Sealed { letter, sequences: vec![sequence], bytes: 0, created: now, attempts: 0 }));
        }
        None
    }

    /// When [`Queue::take_due`] has to be asked again. `None`: there is nothing to wait for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let retry = self.retries.iter().map(|(due, _)| *due).min();
        [retry, self.gathering_due(), self.telemetry_due()].into_iter().flatten().min()
    }

    fn gathering_due(&self) -> Option<Instant> {
        let first = self.gathering.front()?;
        let full = first.notifications.len() >= self.settings.max_batch;
        let at_once = full || self.draining || self.left < self.hurried;
        Some(if at_once { first.created } else { first.created + self.settings.linger })
    }

    /// One request of measurements at a time.
    fn telemetry_due(&self) -> Option<Instant> {
        self.telemetry.due.filter(|_| !self.telemetry.sending)
    }

    fn seal_first(&mut self, random: &dyn Random) -> Option<Sealed> {
        let first = self.gathering.pop_front()?;
        if self.open.get(&first.origin) == Some(&self.left) {
            self.open.remove(&first.origin);
        }
        self.left += 1;
        let letter = Letter { request_id: random.id(), origin: Some(first.origin), notifications: first.notifications };
        Some(Sealed {
            letter: Arc::new(letter),
            sequences: first.sequences,
            bytes: first.bytes,
            created: first.created,
            attempts: 0,
        })
    }

    fn begin(&mut self, mut sealed: Sealed) -> (u64, Outgoing) {
        let id = self.next_id;
        self.next_id += 1;
        sealed.attempts += 1;
        self.counters.requests += 1;
        let outgoing = Outgoing { letter: sealed.letter.clone(), attempt: sealed.attempts };
        self.sending.insert(id, sealed);
        (id, outgoing)
    }

    /// What became of an attempt. A letter that is given up comes back.
    pub(super) fn settle(&mut self, id: u64, outcome: Result<(), Error>, now: Instant) -> Option<Dropped> {
        let sealed = self.sending.remove(&id)?; // absent: shut in the meantime
        let telemetry = sealed.letter.origin.is_none();
        let error = match outcome {
            Ok(()) if telemetry => {
                self.telemetry.sending = false;
                self.telemetry.not_before = None;
                self.settle_sequences(&sealed.sequences, false, true);
                return None;
            }
            Ok(()) => {
                self.outcome(&sealed, true);
                return None;
            }
            Err(error) => error,
        };
        if telemetry {
            // Whoever keeps the measurements has them back; they go with the next request, or later.
            self.telemetry.sending = false;
            let later = now + self.settings.telemetry_interval;
            self.telemetry.not_before = Some(later);
            if self.telemetry.unit.is_none() {
                self.telemetry.due = Some(later);
            }
            self.settle_sequences(&sealed.sequences, false, false);
            return None;
        }
        let hopeless = !worth_retrying(&error)
            || sealed.attempts >= self.settings.max_attempts
            || now.duration_since(sealed.created) >= self.settings.max_age;
        if hopeless {
            self.outcome(&sealed, false);
            let error = error.with_attempts(sealed.attempts);
            return Some(Dropped { letter: sealed.letter, error });
        }
        self.retries.push((now + self.backoff(sealed.attempts), sealed));
        None
    }

    /// Full jitter: clients that failed together do not come back together.
    fn backoff(&self, attempts: u32) -> Duration {
        let most = if self.draining { self.settings.backoff_draining } else { self.settings.backoff_most };
        let ceiling = self.settings.backoff_first.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(most);
        ceiling.mul_f64(fastrand::f64())
    }

    fn outcome(&mut self, sealed: &Sealed, delivered: bool) {
        let count = sealed.sequences.len();
        self.queued -= count.min(self.queued);
        self.bytes -= sealed.bytes.min(self.bytes);
        if delivered {
            self.counters.delivered += count as u64;
        } else {
            self.counters.dropped += count as u64;
        }
        self.settle_sequences(&sealed.sequences, true, delivered);
    }

    fn settle_sequences(&mut self, sequences: &[u64], notifications: bool, delivered: bool) {
        for flush in &mut self.flushes {
            for _ in sequences.iter().filter(|sequence| **sequence < flush.limit) {
                flush.open = flush.open.saturating_sub(1);
                if notifications {
                    flush.report.pending = flush.report.pending.saturating_sub(1);
                    *(if delivered { &mut flush.report.delivered } else { &mut flush.report.dropped }) += 1;
                }
            }
            if flush.open == 0
                && let Some(done) = flush.done.take()
            {
                let _ = done.send(()); // nobody waits any more: fine
            }
        }
    }

    /// Begins to wait for everything accepted so far, `pending` measurements included; nothing of it lingers any more.
    pub(super) fn begin_flush(&mut self, pending: usize, now: Instant) -> (u64, oneshot::Receiver<()>) {
        self.hurried = self.left + self.gathering.len() as u64;
        if !self.shut && pending > 0 {
            self.telemetry.due = Some(now);
            if self.telemetry.unit.is_none() {
                self.telemetry.unit = Some(self.next_sequence);
                self.next_sequence += 1;
            }
        }
        let measurements = usize::from(self.telemetry.unit.is_some()) + usize::from(self.telemetry.sending);
        let (done, receiver) = oneshot::channel();
        let id = self.next_id;
        self.next_id += 1;
        self.flushes.push(Flush {
            id,
            limit: self.next_sequence,
            open: self.queued + measurements,
            report: FlushReport { pending: self.queued as u64, ..FlushReport::default() },
            done: Some(done),
        });
        self.settle_sequences(&[], false, true); // nothing to wait for: done already
        (id, receiver)
    }

    /// Ends a flush, done or not, and tells how it went.
    pub(super) fn end_flush(&mut self, id: u64) -> FlushReport {
        match self.flushes.iter().position(|flush| flush.id == id) {
            Some(at) => self.flushes.swap_remove(at).report,
            None => FlushReport::default(),
        }
    }

    /// The client is closing: what waits is due now, and comes back soon when it fails.
    pub(super) fn begin_drain(&mut self, now: Instant) {
        self.draining = true;
        for (due, _) in &mut self.retries {
            *due = now.min(*due);
        }
    }

    /// Gives everything up. Flushes are done.
    pub(super) fn shut(&mut self, random: &dyn Random) -> Vec<Dropped> {
        if std::mem::replace(&mut self.shut, true) {
            return Vec::new();
        }
        let mut all: Vec<Sealed> = self.sending.drain().map(|(_, sealed)| sealed).collect();
        all.extend(self.retries.drain(..).map(|(_, sealed)| sealed));
        while let Some(sealed) = self.seal_first(random) {
            all.push(sealed);
        }
        let unit = self.telemetry.unit.take();
        self.settle_sequences(unit.as_slice(), false, false);
        self.telemetry = Telemetry::default();
        all.sort_by_key(|sealed| sealed.sequences.first().copied());
        let mut dropped = Vec::new();
        for sealed in all {
            if sealed.letter.origin.is_none() {
                self.settle_sequences(&sealed.sequences, false, false);
                continue;
            }
            self.outcome(&sealed, false);
            let error =
                Error::new(ErrorKind::Closed, "the client was closed before the notifications were acknowledged")
                    .with_attempts(sealed.attempts);
            dropped.push(Dropped { letter: sealed.letter, error });
        }
        dropped
    }
}

/// Whether the same request may succeed later. Said by the error, or by a status that means "later".
fn worth_retrying(error: &Error) -> bool {
    error.retryable() || matches!(error.http_status(), Some(408 | 425 | 429 | 500..=599))
}
