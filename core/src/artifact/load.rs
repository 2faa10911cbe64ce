//! One load of the artifact: download, validate, tell, swap. At most one at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Download, Inner, Load, Outcome, Progress, binary, file, geo, stopped};
use crate::config::ArtifactFormat;
use crate::error::{Error, ErrorKind, Result};
use crate::json;
use crate::transport::{Method, Purpose, Request, Response, Timing};

/// A download, all its attempts included, is over after this.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// Longer texts are compiled away from the threads that do I/O, which this many bytes hold up for less than a millisecond.
const SHORT: usize = 64 << 10;
/// Attempts beyond the first: nothing works before the first artifact, later there is one to go on with.
const FIRST_RETRIES: u32 = 3;
const LATER_RETRIES: u32 = 1;

const FORBIDDEN: &str = "Artifact request is not authorized. This is likely due to On-Device-Decisioning being disabled in Admin settings.  Please enable and try again.";

/// Loads, or waits for the load that is under way. It goes on when the caller stops waiting.
pub(super) async fn shared<T: Send + Sync + 'static>(inner: &Arc<Inner<T>>) -> Result<()> {
    let mut outcome = begin(inner)?;
    match outcome.wait_for(Option::is_some).await {
        Ok(result) => result.clone().unwrap_or(Ok(())),
        // The task was aborted, or panicked.
        Err(_) if inner.work().stopped => Err(stopped()),
        Err(_) => Err(Error::internal("loading the artifact panicked")),
    }
}

fn begin<T: Send + Sync + 'static>(inner: &Arc<Inner<T>>) -> Result<Outcome> {
    let mut work = inner.work();
    if work.stopped {
        return Err(stopped());
    }
    // A load whose sender is gone has died: it is not waited for again.
    if let Some(load) = work.load.as_ref().filter(|load| load.outcome.has_changed().is_ok()) {
        return Ok(load.outcome.clone());
    }
    let (sender, receiver) = watch::channel(None);
    work.polls += 1;
    work.polled_at = Some(Instant::now());
    let task = Arc::clone(inner);
    let handle = inner.env.runtime.spawn(async move {
        let result = task.load().await;
        task.work().load = None;
        // Nobody may be waiting.
        let _ = sender.send(Some(result));
    });
    // The task takes this away at its end, for which it needs the lock that is held here.
    work.load = Some(Load { outcome: receiver.clone(), task: handle.abort_handle() });
    Ok(receiver)
}

/// What a download brought.
enum Loaded<T> {
    NotModified,
    Artifact { rules: T, text: Arc<str>, etag: Option<String>, geo: String, parsing: Duration },
}

impl<T: Send + Sync + 'static> Inner<T> {
    async fn load(self: &Arc<Self>) -> Result<()> {
        let began = Instant::now();
        let location = &self.settings.location.url;
        let result = self.download().await;
        let mut members = String::from(",\"artifactLocation\":");
        json::write_str(&mut members, location);
        let (loaded, timing) = match result {
            Ok(loaded) => loaded,
            Err(error) => {
                log::warn!(target: "target_sdk::artifact", "{}", error.message());
                {
                    let mut work = self.work();
                    work.failures += 1;
                    work.error = Some(error.clone());
                }
                members.push_str(",\"error\":{\"message\":");
                json::write_str(&mut members, error.message());
                if let Some(status) = error.http_status() {
                    members.push_str(",\"httpStatus\":");
                    json::write_int(&mut members, i64::from(status));
                }
                members.push('}');
                self.emit("artifactDownloadFailed", &members);
                return Err(error);
            }
        };
        {
            let mut work = self.work();
            work.error = None;
            work.current_at = Some(Instant::now());
            match loaded {
                Loaded::NotModified => work.not_modified += 1,
                Loaded::Artifact { .. } => work.downloads += 1,
            }
        }
        match loaded {
            Loaded::NotModified => {
                self.emit("artifactNotModified", &members);
                self.tell(&Download { execution: began.elapsed(), parsing: None, timing });
            }
            Loaded::Artifact { rules, text, etag, geo, parsing } => {
                members.push_str(",\"artifactPayload\":");
                members.push_str(&text);
                self.emit("artifactDownloadSucceeded", &members);
                self.emit("geoLocationUpdated", &format!(",\"geoContext\":{geo}"));
                // Told before the rules are in use: the measurement of the download comes before those of decisions.
                self.tell(&Download { execution: began.elapsed(), parsing: Some(parsing), timing });
                let old = self.publish(rules, Arc::clone(&text), location.clone(), etag);
                if old.as_ref().is_some_and(|old| old.text.len() > SHORT) {
                    // Nobody waits for it: taking a large one apart takes its time, too.
                    drop(self.env.runtime.spawn_blocking(move || drop(old)));
                }
                self.keep(text).await;
            }
        }
        Ok(())
    }

    fn tell(&self, download: &Download) {
        if let Some(hook) = self.hook.get() {
            hook(download);
        }
    }

    async fn download(self: &Arc<Self>) -> Result<(Loaded<T>, Timing)> {
        let Some(transport) = &self.transport else {
            return Err(Error::new(ErrorKind::Artifact, "Failed to retrieve artifact: the client is offline"));
        };
        let snapshot = self.current.load_full();
        let etag = snapshot.as_ref().and_then(|snapshot| snapshot.etag.clone());
        let mut headers = vec![("accept", "application/json, application/octet-stream".into())];
        headers.extend(etag.iter().map(|etag| ("if-none-match", etag.as_str().into())));
        let request = Request {
            purpose: Purpose::Artifact,
            method: Method::Get,
            url: self.settings.location.url.as_str().into(),
            common: None,
            headers,
            body: None,
            deadline: Instant::now() + DEADLINE,
            max_retries: if snapshot.is_some() { LATER_RETRIES } else { FIRST_RETRIES },
            max_body_bytes: self.settings.max_bytes,
            private_addresses_allowed: self.settings.private_addresses_allowed,
        };
        let response = transport.send(request).await.map_err(download_failed)?;
        let timing = response.timing;
        match response.status {
            304 if etag.is_some() => Ok((Loaded::NotModified, timing)),
            200 => Ok((self.read(response).await.map_err(unusable)?, timing)),
            status => {
                let what = format!("the server answered {status} instead of an artifact");
                Err(unusable(Error::new(ErrorKind::Artifact, what).with_http_status(status)))
            }
        }
    }

    /// Nothing of the answer is kept, its entity tag included, unless it compiles.
    async fn read(self: &Arc<Self>, response: Response) -> Result<Loaded<T>> {
        let began = Instant::now();
        let etag = response.header("etag").map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned);
        let geo = geo::context(&response);
        let is_binary = self.settings.location.format == ArtifactFormat::Bin;
        let (rules, text) = self.unpacked(response.body, is_binary).await?;
        Ok(Loaded::Artifact { rules, text, etag, geo, parsing: began.elapsed() })
    }

    /// Decodes and compiles.
    async fn unpacked(self: &Arc<Self>, bytes: Vec<u8>, is_binary: bool) -> Result<(T, Arc<str>)> {
        let inner = Arc::clone(self);
        let is_short = bytes.len() <= SHORT;
        let work = move || {
            let text = match is_binary {
                true => binary::decode(&bytes, &inner.settings.organization_id)?,
                false => plain(bytes)?,
            };
            Ok((inner.compiled(&text)?, text.into()))
        };
        if is_short {
            return work();
        }
        // It ends without an outcome only when the runtime is shut down.
        self.env.runtime.spawn_blocking(work).await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Puts the copy on disk to use, if there is no artifact yet. Returns whether there is one now.
    pub(super) async fn use_file(self: &Arc<Self>) -> bool {
        if self.current.load().is_some() {
            return true;
        }
        let Some(path) = self.settings.file.clone() else { return false };
        let cap = self.settings.max_bytes;
        let read = self.env.runtime.spawn_blocking(move || file::read(&path, cap)).await;
        let loaded = match read {
            Ok(Ok(bytes)) => {
                let is_binary = binary::is_binary(&bytes);
                self.unpacked(bytes, is_binary).await.map_err(|error| error.message().to_owned())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match loaded {
            // The network may have been quicker.
            Ok(_) if self.current.load().is_some() => true,
            Ok((rules, text)) => {
                log::info!(target: "target_sdk::artifact", "using the artifact of `artifactFile`");
                let _ = self.publish(rules, text, self.settings.location.url.clone(), None);
                true
            }
            Err(reason) => {
                let what = format!("`artifactFile` cannot be used: {reason}");
                log::warn!(target: "target_sdk::artifact", "{what}");
                if self.transport.is_none() {
                    self.work().error = Some(Error::new(ErrorKind::Artifact, what).with_retryable(false));
                }
                false
            }
        }
    }

    /// Replaces the copy on disk. Failing at that is no failure of the load.
    async fn keep(&self, text: Arc<str>) {
        let Some(path) = self.settings.file.clone() else { return };
        let written = self.env.runtime.spawn_blocking(move || file::write(&path, &text)).await;
        let problem = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        log::warn!(target: "target_sdk::artifact", "`artifactFile` cannot be written: {problem}");
    }

    /// The first load failed: those who wait for it are told, unless there is an artifact after all.
    pub(super) fn first_load_failed(&self, error: Error) {
        self.work().error.get_or_insert_with(|| error.clone());
        self.progress.send_if_modified(|progress| {
            let news = matches!(progress, Progress::Waiting);
            if news {
                *progress = Progress::Failed(error);
            }
            news
        });
    }
}

fn plain(bytes: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::Artifact, "Unable to read artifact JSON: it is not UTF-8 text"))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

fn download_failed(error: Error) -> Error {
    match error.http_status() {
        Some(403) => as_artifact(&error, FORBIDDEN.to_owned()).with_retryable(false),
        _ => as_artifact(&error, format!("Failed to retrieve artifact: {}", error.message())),
    }
}

fn unusable(error: Error) -> Error {
    as_artifact(&error, format!("Failed to retrieve artifact: {}", error.message()))
}

fn as_artifact(cause: &Error, message: String) -> Error {
    let mut error = Error::new(ErrorKind::Artifact, message).with_retryable(cause.retryable());
    if let Some(status) = cause.http_status() {
        error = error.with_http_status(status);
    }
    if let Some(phase) = cause.phase() {
        error = error.with_phase(phase);
    }
    if let Some(attempts) = cause.attempts() {
        error = error.with_attempts(attempts);
    }
    if let Some(path) = cause.path() {
        error = error.with_path(path);
    }
    error
}
