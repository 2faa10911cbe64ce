//! The exports, in the order of the header. Each validates, converts and delegates; none knows what Adobe Target means.
//!
//! | prefix | file |
//! | --- | --- |
//! | `target_abi_version`, `target_version`, `target_status_*`, `target_init`, `target_shutdown`, `target_set_log*`, `target_*cookie_name` | `library` |
//! | `target_client_*` | `client` |
//! | `target_get_offers*`, `target_send_notifications*`, `target_get_attributes*`, `target_request_*` | `offers` |
//! | `target_queue_*` | `queue` |
//! | `target_result_*` | `result` |
//! | `target_attributes_*` | `attributes` |

pub mod attributes;
pub mod callback;
pub mod client;
pub mod handle;
pub mod library;
pub mod offers;
pub mod queue;
pub mod result;
pub mod status;

mod drain;
mod guard;
mod hooks;
mod log;
mod random;
mod request;
mod sized;
mod text;
mod wait;
