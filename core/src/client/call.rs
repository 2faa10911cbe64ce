//! One call from its JSON to its envelope.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::Instant as Deadline;

use super::events::EventWriter;
use super::local::{self, Local};
use super::stats::{Kind, Running};
use super::{Answer, Call, Inner, Operation};
use crate::artifact::GeoAnswer;
use crate::attributes::{self, Attributes};
use crate::config::DecisioningMethod;
use crate::decisioning::RemoteDependency;
use crate::delivery::options::Purpose;
use crate::delivery::{self, CallOptions, Prepared, Sealed, parse_options, prepare, seal};
use crate::envelope::RawList;
use crate::error::{Error, ErrorKind, Result};

/// A deadline that the clock cannot express is this far away.
const FAR: Duration = Duration::from_secs(86_400 * 365);

/// Name of the page load's mbox where no artifact says otherwise.
const GLOBAL_MBOX: &str = "target-global-mbox";

/// Begins a call: parses and prepares it, decides it here if that is possible.
pub(super) fn begin(inner: &Arc<Inner>, operation: Operation, running: Running, timeout: Option<Duration>) -> Call {
    let accepted = running.accepted();
    let timeout = timeout.unwrap_or(inner.config.timeout);
    let deadline = Deadline::from(accepted.checked_add(timeout).unwrap_or_else(|| Instant::now() + FAR));
    let first = match attempt(inner, &operation, accepted, &Found::default()) {
        Next::Done(kind, answer) => {
            running.finish(kind, answer.as_ref().map(drop));
            return Call::Ready(answer);
        }
        next => next,
    };
    let inner = inner.clone();
    Call::Pending(Box::pin(async move {
        let mut kind = Kind::ServerSide;
        // The work keeps the deadline itself.
        let answer = tokio::select! {
            biased;
            outcome = carry_on(&inner, operation, first, accepted, deadline, &mut kind) => outcome,
            () = inner.life.closed() => Err(closed_meanwhile()),
        };
        let answer = answer.map_err(|error| error.with_elapsed(accepted.elapsed()));
        running.finish(kind, answer.as_ref().map(drop));
        answer
    }))
}

/// What a call needs next.
#[allow(clippy::large_enum_variant)] // nearly always the largest
enum Next {
    /// Nothing: it is answered.
    Done(Kind, Result<Answer>),
    /// The Delivery API.
    Ask(Kind, Remote),
    /// The first artifact, for so long.
    WaitForArtifact(Duration),
    /// The place of the visitor with this address (`None`: of this host).
    LookUp(Option<String>),
}

/// What a call has waited for.
#[derive(Default)]
struct Found {
    waited: bool,
    geo: Option<Option<GeoAnswer>>,
}

/// Goes as far as is possible without I/O.
fn attempt(inner: &Arc<Inner>, operation: &Operation, accepted: Instant, found: &Found) -> Next {
    let kind = match operation {
        Operation::SendNotifications { .. } => Kind::Notifications,
        Operation::GetOffers { .. } | Operation::GetAttributes { .. } => Kind::ServerSide,
    };
    let prepared = match read(inner, operation) {
        Ok(prepared) => prepared,
        Err(error) => return Next::Done(kind, Err(error)),
    };
    let wants_attributes = matches!(operation, Operation::GetAttributes { .. });
    let method = match kind {
        Kind::Notifications => DecisioningMethod::ServerSide,
        _ => prepared.decisioning_method,
    };
    let prepared = match local::attempt(inner, prepared, method, accepted, found.geo.as_ref(), found.waited) {
        Local::Decided(envelope) => return Next::Done(Kind::OnDevice, finish(inner, envelope, wants_attributes)),
        Local::Impossible(error) => return Next::Done(Kind::OnDevice, Err(error)),
        Local::WaitForArtifact(longest) => return Next::WaitForArtifact(longest),
        Local::LookUp(address) => return Next::LookUp(address),
        Local::NotHere(prepared) => prepared,
    };
    Next::Ask(kind, Remote::new(inner, prepared, wants_attributes))
}

/// Does the I/O that a call needs, step by step.
async fn carry_on(
    inner: &Arc<Inner>,
    operation: Operation,
    mut next: Next,
    accepted: Instant,
    deadline: Deadline,
    answered: &mut Kind,
) -> Result<Answer> {
    let mut found = Found::default();
    loop {
        match next {
            Next::Done(kind, answer) => {
                *answered = kind;
                return answer;
            }
            Next::Ask(kind, remote) => {
                *answered = kind;
                // Calls of the host only: what the client sends by itself has its own limit and must not hold these up.
                let _turn = inner.limits.turn(deadline).await?;
                return remote.run(inner, deadline).await;
            }
            Next::WaitForArtifact(longest) => {
                *answered = Kind::OnDevice;
                if let Some(artifact) = &inner.artifact {
                    let until = Deadline::from(accepted + longest).min(deadline);
                    // Either way: what is there then decides.
                    let _ = tokio::time::timeout_at(until, artifact.first_outcome()).await;
                }
                found.waited = true;
            }
            Next::LookUp(address) => {
                *answered = Kind::OnDevice;
                found.geo = Some(local::look_up(inner, address.as_deref(), deadline).await);
            }
        }
        next = attempt(inner, &operation, accepted, &found);
    }
}

/// Options to request.
fn read<'a>(inner: &Inner, operation: &'a Operation) -> Result<Prepared<'a>> {
    let strict = inner.config.strict;
    let options: CallOptions<'a> = match operation {
        Operation::GetOffers { options } => parse_options(options, Purpose::Offers, strict)?,
        Operation::SendNotifications { options } => {
            let measurements_wait = inner.transport.is_some() && !inner.telemetry.is_empty();
            let purpose = if measurements_wait { Purpose::NotificationsOrTelemetry } else { Purpose::Notifications };
            parse_options(options, purpose, strict)?
        }
        Operation::GetAttributes { mbox_names, options } => attributes::parse_options(mbox_names, options, strict)?,
    };
    let hint = inner.sticky_hint.load();
    let now_ms = inner.environment.clock.now_ms();
    prepare(options, &inner.config, hint.as_deref().map(String::as_str), now_ms, &*inner.environment.random)
}

fn closed_meanwhile() -> Error {
    Error::new(ErrorKind::Closed, "the client was closed before the call was answered")
}

/// What a request of the client's own has to do with telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telemetry {
    /// Takes the waiting measurements along and is measured itself.
    Full,
    /// Takes them along; another measurement would only wait in vain.
    Carry,
    None,
}

/// A call for the Delivery API.
pub(super) struct Remote {
    sealed: Sealed,
    telemetry: Entries,
    /// Whether the call itself is worth a measurement.
    is_measured: bool,
    /// What only the server can decide, if there are rules that tell.
    remote: RemoteDependency,
    wants_attributes: bool,
}

impl Remote {
    /// A request of the client's own.
    pub(super) fn own(inner: &Arc<Inner>, prepared: Prepared<'_>, telemetry: Telemetry) -> Remote {
        let texts = if telemetry == Telemetry::None { Vec::new() } else { inner.telemetry.take() };
        Remote {
            sealed: seal(prepared, &inner.config, &texts),
            telemetry: Entries { texts, client: inner.clone() },
            is_measured: telemetry == Telemetry::Full,
            remote: RemoteDependency::default(),
            wants_attributes: false,
        }
    }

    /// A call of the host. Takes the waiting telemetry along.
    fn new(inner: &Arc<Inner>, prepared: Prepared<'_>, wants_attributes: bool) -> Remote {
        let rules = inner.artifact.as_ref().and_then(|artifact| artifact.current());
        let remote = rules.map(|rules| rules.rules.remote_dependency(&prepared.request)).unwrap_or_default();
        let telemetry = Entries { texts: inner.telemetry.take(), client: inner.clone() };
        Remote {
            sealed: seal(prepared, &inner.config, &telemetry.texts),
            telemetry,
            is_measured: true,
            remote,
            wants_attributes,
        }
    }

    pub(super) async fn run(mut self, inner: &Inner, deadline: Deadline) -> Result<Answer> {
        let Some(transport) = &inner.transport else {
            return Err(Error::new(ErrorKind::Network, "the client is offline and the call needs the server")
                .with_retryable(false));
        };
        let sent = delivery::send(transport, &inner.config, &self.sealed, deadline).await.inspect_err(|error| {
            let event = EventWriter::new("requestFailed").text("requestId", &self.sealed.request_id).error(error);
            inner.events.emit(event.finish());
            // What is wrong may be a measurement: kept, it would have all later calls refused as well.
            if error.http_status() == Some(400) {
                inner.telemetry.refused(self.telemetry.forget());
            }
        })?;
        if self.telemetry.sent() && inner.measured.load().is_some() {
            inner.measured.store(None);
        }
        if let Some(cluster) = sent.cluster() {
            inner.stick_to(cluster);
        }
        let now_ms = inner.environment.clock.now_ms();
        if self.is_measured && inner.telemetry.is_enabled() {
            inner.telemetry.push(sent.telemetry_entry(now_ms));
        }
        let (mboxes, views) = (RawList::of_texts(&self.remote.mboxes), RawList::of_texts(&self.remote.views));
        finish(inner, sent.envelope(now_ms, &mboxes, &views)?, self.wants_attributes)
    }
}

/// The envelope as an answer, with its attributes if they were asked for.
fn finish(inner: &Inner, mut envelope: String, wants_attributes: bool) -> Result<Answer> {
    let page_load_mbox = inner.page_load_mbox();
    if wants_attributes {
        let attributes = Attributes::from_envelope(&envelope, page_load_mbox.as_deref())?;
        attributes.append_to(&mut envelope)?;
    }
    Ok(Answer { json: envelope, page_load_mbox })
}

impl Inner {
    /// Later calls go to this cluster, too.
    pub(super) fn stick_to(&self, cluster: &str) {
        let known = self.sticky_hint.load();
        if known.as_deref().map(String::as_str) != Some(cluster) {
            self.sticky_hint.store(Some(Arc::new(cluster.to_owned())));
        }
    }

    /// Name under which the page load's offers count as attributes.
    fn page_load_mbox(&self) -> Option<Arc<str>> {
        if !self.config.include_page_load {
            return None;
        }
        let artifact = self.artifact.as_ref().and_then(|artifact| artifact.current());
        Some(artifact.map_or_else(|| Arc::from(GLOBAL_MBOX), |artifact| Arc::from(artifact.rules.global_mbox())))
    }
}

/// Telemetry on its way: goes back unless it was sent, also when the call is cancelled.
struct Entries {
    texts: Vec<String>,
    client: Arc<Inner>,
}

impl Entries {
    /// They are not to be sent again. Says how many there were.
    fn forget(&mut self) -> usize {
        std::mem::take(&mut self.texts).len()
    }

    /// They have arrived. Says whether there were any.
    fn sent(&mut self) -> bool {
        !std::mem::take(&mut self.texts).is_empty()
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        if !self.texts.is_empty() {
            self.client.telemetry.put_back(std::mem::take(&mut self.texts));
        }
    }
}
