//! What the network alone costs: a bare reqwest loop with the runtime settings of the library, no target-sdk. It sends what
//! the library sends: the same query, headers and body.
//!
//! `bare_reqwest http://HOST:PORT/PATH CALLS IN_FLIGHT` prints calls per second as JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)] // a measurement, not a library

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const BODY: &str = r#"{"requestId":"0123456789abcdef0123456789abcdef","context":{"channel":"web","userAgent":"Mozilla/5.0","address":{"url":"https://example.com/"},"timeOffsetInMinutes":0},"experienceCloud":{"analytics":{"logging":"server_side","supplementalDataId":"4832DCA602B34B1B-02B46127CD5D8C63"}},"execute":{"mboxes":[{"name":"homepage-hero","parameters":{"colour":"red"},"index":0}]}}"#;

const QUERY: &str = "?imsOrgId=0123456789ABCDEF01234567%40AdobeOrg&sessionId=0123456789abcdef0123456789abcdef";
const HEADERS: [(&str, &str); 6] = [
    ("content-type", "application/json"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip"),
    ("x-exc-sdk", "AdobeTargetRust"),
    ("x-exc-sdk-version", "0.1.0"),
    ("x-request-id", "0123456789abcdef0123456789abcdef"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [url, calls, in_flight] = arguments.as_slice() else {
        println!("usage: bare_reqwest URL CALLS IN_FLIGHT (skipped)");
        return;
    };
    let (calls, in_flight): (usize, usize) = (calls.parse().unwrap(), in_flight.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Plain http: the provider is never used, but reqwest wants a TLS configuration.
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .pool_max_idle_per_host(in_flight)
        .no_proxy()
        .build()
        .unwrap();
    let url = format!("{url}{QUERY}");
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    runtime.block_on(async {
        let workers: Vec<_> = (0..in_flight)
            .map(|_| {
                let (client, next, url) = (client.clone(), next.clone(), url.clone());
                tokio::spawn(async move {
                    while next.fetch_add(1, Ordering::Relaxed) < calls {
                        let request = HEADERS
                            .iter()
                            .fold(client.post(&url), |request, (name, value)| request.header(*name, *value));
                        let answer = request.body(BODY).send().await.unwrap();
                        assert_eq!(answer.status(), 200);
                        answer.bytes().await.unwrap();
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    });
    let took = started.elapsed().as_secs_f64();
    println!("{{\"calls\":{calls},\"inFlight\":{in_flight},\"callsPerSecond\":{:.0}}}", calls as f64 / took);
}
