//! The library is started and shut down, over and over, with calls in all states.

use std::time::{Duration, Instant};

use serde_json::json;

use super::edge::Edge;
use super::slope::Samples;
use super::{Plan, Report};
use crate::abi::{self, Client, OK, Queue, What};
use crate::process::{self, eventually};

pub fn run(plan: &Plan, report: &mut Report) {
    const CALLS: u64 = 4;
    abi::api();
    let edge = Edge::start();
    let mut random = plan.random(200);
    let config = |method: &str| {
        json!({"client": "demo", "organizationId": "0123456789ABCDEF01234567@AdobeOrg", "secure": false,
            "serverDomain": edge.address, "pinServerDomain": true, "decisioningMethod": method,
            "artifactLocation": format!("http://{}/demo/production/v1/rules.json", edge.address)})
        .to_string()
    };
    let options = json!({"request": {"execute": {"mboxes": [{"index": 0, "name": "homepage-hero"}]}}}).to_string();
    let mut baseline = None;
    let (mut cycles, mut ended, mut worst_ms) = (0_u64, 0_u64, 0);
    let (mut resident, mut allocated) = (Samples::default(), Samples::default());
    let began = Instant::now();
    while began.elapsed() < plan.time() {
        if random.u8(..2) == 0 {
            abi::init();
        }
        let queue = Queue::new();
        let method = ["server-side", "on-device", "hybrid"][random.usize(..3)];
        let client = Client::create(&config(method), Some((queue, u64::MAX))).expect("a client");
        if random.u8(..2) == 0 {
            client.wait_ready(2000);
        }
        for tag in 0..CALLS {
            if client.submit_to(queue, tag, What::Offers, &options, 5000).is_err() {
                report.check(false, || "a call is refused".to_owned());
            }
        }
        let ending = random.u8(..4);
        match ending {
            0 => drop(client.close(1000)),
            1 => drop(client.destroy()),
            2 => std::thread::sleep(Duration::from_millis(random.u64(..10))),
            _ => {}
        }
        let stopping = Instant::now();
        let shut = abi::shutdown(5000);
        worst_ms = worst_ms.max(stopping.elapsed().as_millis());
        report.check(shut == OK, || format!("target_shutdown: {}", abi::status_name(shut)));
        if ending != 1 {
            report.check(client.destroy() == OK, || "a client cannot be destroyed after the library".to_owned());
        }
        let mut here = 0;
        loop {
            let some = queue.poll(64, 0);
            if some.is_empty() {
                break;
            }
            for done in some {
                here += u64::from(!done.is_event());
                abi::free(done.result);
            }
        }
        report.check(here == CALLS, || format!("{here} of {CALLS} calls ended"));
        ended += here;
        queue.destroy();
        cycles += 1;
        if cycles == 20 {
            baseline = Some((process::descriptors(), process::thread_names().len()));
        }
        if cycles > 100 && cycles.is_multiple_of(50) {
            resident.add(cycles, process::resident());
            allocated.add(cycles, process::allocated());
        }
    }
    report.figure("cycles", cycles);
    report.figure("calls", ended);
    report.figure("worst_shutdown_ms", worst_ms);
    for (name, samples, few) in [("rss", &resident, 256 << 10), ("heap", &allocated, 0)] {
        if let Some(slope) = samples.slope() {
            report.figure(&format!("{name}_bytes_per_10k"), format!("{:.0}±{:.0}", slope.bytes, slope.error));
            // Sixteen bytes a cycle, which is a client, a runtime and four calls.
            report.check(!samples.grow_by(10_000.0 * 16.0, few), || {
                format!("{name} grows by {:.1}±{:.1} bytes a cycle", slope.bytes / 1e4, slope.error / 1e4)
            });
        }
    }
    if let Some((descriptors, threads)) = baseline {
        let clean = eventually(Duration::from_secs(10), || {
            process::descriptors() <= descriptors && process::thread_names().len() <= threads
        });
        report.check(clean, || format!("left behind: {:?} {:?}", process::descriptor_names(), process::thread_names()));
    }
}
