//! `target_result_*`: answers, errors and other documents, all the same kind of object.

use std::collections::HashMap;
use std::ffi::c_char;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use target_sdk_core::attributes::Attributes;
use target_sdk_core::client::Answer;
use target_sdk_core::error::{Error, ErrorKind};

use crate::runtime::{fork, lock};

use super::guard;
use super::handle::{self, library, target_result};
use super::status::{
    self, TARGET_E_BAD_HANDLE, TARGET_E_INTERNAL, TARGET_E_INVALID_ARG, TARGET_E_NO_ATTRIBUTE, TARGET_OK, target_status,
};
use super::text::{self, Out, TARGET_NUL, Text};

/// In the count of a result that a callback has borrowed: the library's own reference, which the host cannot give back.
const LENT: u32 = 1 << 31;

/// A document of the host's, counted by it.
pub(crate) struct ResultEntry {
    status: target_status,
    json: Text,
    /// Those of the host's, and [`LENT`].
    references: AtomicU32,
    /// Texts handed out besides `json`; they live as long as the result.
    views: Mutex<HashMap<String, Arc<Text>>>,
    /// Name under which the page load's offers count as attributes.
    page_load_mbox: Option<Arc<str>>,
    attributes: OnceLock<Result<Attributes, Error>>,
}

impl ResultEntry {
    pub(crate) fn document(json: String) -> Arc<ResultEntry> {
        ResultEntry::new(TARGET_OK, json, None)
    }

    pub(crate) fn error(error: &Error) -> Arc<ResultEntry> {
        let status = status::of(error.kind());
        ResultEntry::new(status, error.to_json(status, &status::name(status).to_string_lossy()), None)
    }

    pub(crate) fn answer(answer: Result<Answer, Error>) -> Arc<ResultEntry> {
        match answer {
            Ok(answer) => ResultEntry::new(TARGET_OK, answer.json, answer.page_load_mbox),
            Err(error) => ResultEntry::error(&error),
        }
    }

    fn new(status: target_status, json: String, page_load_mbox: Option<Arc<str>>) -> Arc<ResultEntry> {
        Arc::new(ResultEntry {
            status,
            json: Text::new(json),
            references: AtomicU32::new(1),
            views: Mutex::new(HashMap::new()),
            page_load_mbox,
            attributes: OnceLock::new(),
        })
    }

    pub(crate) fn status(&self) -> target_status {
        self.status
    }

    /// Gives the document a handle. One reference belongs to whoever gets it.
    pub(crate) fn publish(self: Arc<ResultEntry>) -> Result<target_result, target_status> {
        library().results.insert(|_| self).map(|(handle, _)| handle).ok_or(TARGET_E_INTERNAL)
    }

    /// Gives the document a handle for as long as `borrow` runs, and longer if the host keeps it.
    pub(crate) fn lend(self: Arc<ResultEntry>, borrow: impl FnOnce(target_result)) {
        self.references.store(LENT, Ordering::Release);
        // Without a handle the host still gets its call: 0 is a handle it can ask, in vain.
        let handle = self.clone().publish().unwrap_or(0);
        let epoch = fork::epoch();
        borrow(handle);
        if fork::epoch() != epoch {
            return; // a child, forked in the callback: the table is the parent's, and may be locked
        }
        if self.references.fetch_and(!LENT, Ordering::AcqRel) == LENT {
            let _ = library().results.remove(handle);
        }
    }

    /// A text that lives as long as the result. `name` tells it from others of this result.
    fn view(
        &self,
        name: String,
        make: impl FnOnce() -> Result<String, target_status>,
    ) -> Result<Arc<Text>, target_status> {
        if let Some(text) = lock(&self.views).get(&name) {
            return Ok(text.clone());
        }
        let made = Arc::new(Text::new(make()?));
        Ok(lock(&self.views).entry(name).or_insert(made).clone())
    }

    pub(super) fn attributes(&self) -> Result<&Attributes, target_status> {
        if self.status != TARGET_OK {
            return Err(self.status);
        }
        self.attributes
            .get_or_init(|| Attributes::from_envelope(self.json.as_str(), self.page_load_mbox.as_deref()))
            .as_ref()
            .map_err(|error| status::of(error.kind()))
    }

    /// Hands out a text that lives as long as the result.
    pub(super) fn give(
        &self,
        name: String,
        json: &Out<*const c_char>,
        len: &Out<usize>,
        make: impl FnOnce() -> Result<String, target_status>,
    ) -> Result<(), target_status> {
        let text = self.view(name, make)?;
        json.set(text.as_ptr());
        len.set(text.len());
        Ok(())
    }
}

/// Ends one reference of the host's to a result.
fn free(handle: target_result) -> Result<(), target_status> {
    let entry = handle::result(handle)?;
    let before = entry
        .references
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |references| {
            if references == LENT { None } else { references.checked_sub(1) }
        })
        .map_err(|references| if references == LENT { TARGET_E_INVALID_ARG } else { TARGET_E_BAD_HANDLE })?;
    if before == 1 {
        let _ = library().results.remove(handle);
    }
    Ok(())
}

/// Status of a result: `TARGET_OK` for an answer, `TARGET_E_*` for an error.
///
/// @param result  A result handle.
/// @return The status that the result carries, or TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn target_result_status(result: target_result) -> target_status {
    guard::status(|| match handle::result(result)?.status {
        TARGET_OK => Ok(()),
        error => Err(error),
    })
}

/// The document: the answer, or the error as described above.
///
/// @param result  A result handle.
/// @param json    Receives UTF-8 text, NUL-terminated, that lives until the result's last `target_result_free`.
/// @param len     Receives its length in bytes without the NUL. May be NULL.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `json` must be valid for writing a pointer, `len` NULL or valid for writing a size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_result_json(
    result: target_result,
    json: *mut *const c_char,
    len: *mut usize,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let (json, len) = unsafe { (text::out(json, std::ptr::null()), text::optional_out(len, 0)) };
        let entry = handle::result(result)?;
        json?.set(entry.json.as_ptr());
        len.set(entry.json.len());
        Ok(())
    })
}

/// A part of the document, by JSON pointer (RFC 6901), for example `/response/execute/mboxes/0/options/0/content`.
///
/// @param result        A result handle.
/// @param json_pointer  NUL-terminated; "" is the whole document.
/// @param json          Receives JSON text (a string keeps its quotes), NUL-terminated, that lives as long as the result.
/// @param len           Receives its length in bytes without the NUL. May be NULL.
/// @return TARGET_OK, TARGET_E_NO_ATTRIBUTE (nothing there), TARGET_E_INVALID_ARG (not a JSON pointer),
///         TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `json_pointer` must be a NUL-terminated string, `json` valid for writing, `len` NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_result_get(
    result: target_result,
    json_pointer: *const c_char,
    json: *mut *const c_char,
    len: *mut usize,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let (json, len) = unsafe { (text::out(json, std::ptr::null()), text::optional_out(len, 0)) };
        let entry = handle::result(result)?;
        let json = json?;
        // SAFETY: contract of this function.
        let pointer = unsafe { text::copy(json_pointer, TARGET_NUL) }?;
        let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if !escapes || !(pointer.is_empty() || pointer.starts_with('/')) {
            return Err(TARGET_E_INVALID_ARG);
        }
        let name = format!("json {pointer}");
        entry.give(name, &json, &len, || {
            target_sdk_core::json::raw_pointer(entry.json.as_str(), &pointer)
                .map(str::to_owned)
                .ok_or(TARGET_E_NO_ATTRIBUTE)
        })
    })
}

/// Keeps a result: it needs one `target_result_free` more.
///
/// @param result  A result handle.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn target_result_retain(result: target_result) -> target_status {
    guard::status(|| {
        handle::result(result)?
            .references
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |references| {
                match references {
                    0 => None,
                    _ if references & !LENT == !LENT => None, // no room for one more
                    _ => Some(references + 1),
                }
            })
            .map(drop)
            .map_err(|_| TARGET_E_BAD_HANDLE)
    })
}

/// Gives a result back. After the last one its handle and every pointer out of it are gone.
///
/// @param result  A result handle; 0 is ignored.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_FORKED, TARGET_E_INVALID_ARG (the result is borrowed by a callback that
///         has not returned, and was not retained; it lives on until that returns).
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn target_result_free(result: target_result) -> target_status {
    guard::status(|| if result == 0 { Ok(()) } else { free(result) })
}

/// An error document for a status that has no more to say.
pub(crate) fn plain_error(kind: ErrorKind, message: &'static str) -> Arc<ResultEntry> {
    ResultEntry::error(&Error::new(kind, message))
}
