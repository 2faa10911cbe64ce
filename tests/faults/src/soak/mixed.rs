//! Mixed load against the edge, while it misbehaves: all kinds of clients, calls and endings, on several threads.

use std::collections::VecDeque;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::edge::Edge;
use super::ledger::{Ledger, on_done, release};
use super::slope::Samples;
use super::{Plan, Report, fork};
use crate::abi::{self, Call, Client, OK, Queue, What};
use crate::process::{self, eventually};

const WORKERS: u64 = 4;
const CALLBACK_STUCK: i32 = -22;
const CALLS_UNDER_WAY: u64 = 200;
const KINDS: [&str; 4] = ["server-side", "on-device", "hybrid", "server-side"];
const FAULTS: [&str; 19] = [
    "reset",
    "close",
    "stall",
    "slow",
    "truncate",
    "not-json",
    "html",
    "empty",
    "gzip-corrupt",
    "status:503",
    "status:500",
    "status:400",
    "status:429",
    "retry-after:1",
    "wrong-length",
    "half-close",
    "drop-after-head",
    "flap",
    "disconnect-keepalive",
];
/// Parts of the run, each of which ends with everything at rest and a measurement.
const LAPS: u32 = 48;
/// So many make one sample: the least of them, because what is closed needs a moment to be gone, and because threads keep
/// some freed blocks.
const LAPS_OF_A_SAMPLE: u32 = 4;
/// Memory comes in pages and goes back in runs of them, and two threads keep up to a MiB of freed blocks each.
const FEW_PAGES: u64 = 2 << 20;
/// What is made once stays: places in tables for the most calls, clients and connections there have been at a time.
const FEW_BLOCKS: u64 = 64 << 10;

struct World {
    ledger: &'static Ledger,
    queue: Queue,
    /// Under the lock while they are used, so that totals of a closed client are its last.
    clients: Vec<RwLock<Option<Client>>>,
    edge: Edge,
    churns: AtomicU64,
    forks: AtomicU64,
    bad_forks: AtomicU64,
    faults: AtomicU64,
    /// Totals of closed clients' statistics.
    accepted: AtomicU64,
    completed: AtomicU64,
    cancelled: AtomicU64,
    unbalanced: AtomicU64,
    slow_closes: AtomicU64,
    worst_close_ms: AtomicU64,
}

pub fn run(plan: &Plan, report: &mut Report) {
    abi::api();
    let edge = Edge::start();
    // The first use of what stays: allocator arenas, the name of the time zone, and so on.
    let (descriptors, threads) = (process::descriptors(), process::thread_names().len());
    abi::init();
    let world = World {
        ledger: Ledger::leak(),
        queue: Queue::new(),
        clients: KINDS.iter().map(|_| RwLock::new(None)).collect(),
        edge,
        churns: AtomicU64::new(0),
        forks: AtomicU64::new(0),
        bad_forks: AtomicU64::new(0),
        faults: AtomicU64::new(0),
        accepted: AtomicU64::new(0),
        completed: AtomicU64::new(0),
        cancelled: AtomicU64::new(0),
        unbalanced: AtomicU64::new(0),
        slow_closes: AtomicU64::new(0),
        worst_close_ms: AtomicU64::new(0),
    };
    let mut worst_stuck = 0;
    let mut least = (u64::MAX, u64::MAX);
    let (mut resident, mut allocated) = (Samples::default(), Samples::default());
    std::thread::scope(|scope| {
        let world = &world;
        for worker in 0..WORKERS {
            scope.spawn(move || work(world, plan.random(worker)));
        }
        // Named like the library's: its waiting for a processor counts, too.
        let collector = std::thread::Builder::new().name("target-collect".to_owned());
        collector.spawn_scoped(scope, move || collect(world)).expect("a thread");
        scope.spawn(move || churn(world, plan.random(100)));
        if !without("faults") {
            scope.spawn(move || break_things(world, plan.random(101)));
        }
        if !without("forks") {
            scope.spawn(move || have_children(world));
        }
        scope.spawn(move || stutter(world.ledger));
        for lap in 0..LAPS {
            let until = Instant::now() + plan.time() / LAPS;
            while Instant::now() < until {
                std::thread::sleep(Duration::from_millis(50));
                worst_stuck = worst_stuck.max(world.ledger.stuck());
            }
            let at_rest = rest(world);
            report.check(at_rest, || format!("{} calls do not end", world.ledger.under_way()));
            // A quarter to warm up.
            if lap >= LAPS / 4 {
                let operations = world.ledger.accepted.load(SeqCst);
                let (now_resident, now_allocated) = held_at_rest();
                least = (least.0.min(now_resident), least.1.min(now_allocated));
                if lap % LAPS_OF_A_SAMPLE == LAPS_OF_A_SAMPLE - 1 {
                    resident.add(operations, least.0);
                    allocated.add(operations, least.1);
                    least = (u64::MAX, u64::MAX);
                }
                if std::env::var_os("FAULTS_VERBOSE").is_some() {
                    eprintln!("{operations} calls: {now_resident} resident, {now_allocated} allocated");
                }
            }
            world.ledger.pause.store(false, SeqCst);
        }
        world.ledger.stop.store(true, SeqCst);
    });
    for client in &world.clients {
        retire(&world, client, 1000);
    }
    let shut = abi::shutdown(5000);
    report.check(shut == OK, || format!("target_shutdown: {}", abi::status_name(shut)));
    for done in world.queue.poll(256, 0) {
        abi::free(done.result);
    }
    world.queue.destroy();
    report.check(worst_stuck == 0, || {
        format!("{worst_stuck} calls at a time were more than a second beyond their deadline")
    });
    judge(&world, report, &resident, &allocated);
    let clean = eventually(Duration::from_secs(15), || {
        process::descriptors() <= descriptors && process::thread_names().len() <= threads
    });
    report.check(clean, || {
        format!(
            "left behind: {:?} ({descriptors} descriptors before), {:?} ({threads} threads before)",
            process::descriptor_names(),
            process::thread_names()
        )
    });
}

/// What is left when connections and tasks of closed clients have gone, too: the least of several measurements.
fn held_at_rest() -> (u64, u64) {
    let mut least = (u64::MAX, u64::MAX);
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(30));
        least = (least.0.min(process::resident()), least.1.min(process::allocated()));
    }
    least
}

/// For finding out what it is: `FAULTS_WITHOUT=faults,forks`.
fn without(part: &str) -> bool {
    std::env::var("FAULTS_WITHOUT").is_ok_and(|parts| parts.split(',').any(|one| one == part))
}

fn judge(world: &World, report: &mut Report, resident: &Samples, allocated: &Samples) {
    let ledger = world.ledger;
    let get = |number: &AtomicU64| number.load(SeqCst);
    for (name, number) in [
        ("calls", &ledger.accepted),
        ("ended", &ledger.ended),
        ("silent", &ledger.silent),
        ("succeeded", &ledger.succeeded),
        ("refused", &ledger.refused),
        ("violations", &ledger.violations),
        ("late", &ledger.late),
        ("worst_overdue_ms", &ledger.worst_ms),
        ("worst_machine_ms", &ledger.worst_machine),
        ("clients", &world.churns),
        ("worst_close_overrun_ms", &world.worst_close_ms),
        ("forks", &world.forks),
        ("faults", &world.faults),
    ] {
        report.figure(name, get(number));
    }
    let edge = world.edge.stats();
    report.figure("requests", &edge["requests"]);
    report.check(get(&ledger.violations) == 0, || "a call ended twice, or was never accepted".to_owned());
    report.check(get(&ledger.late) == 0, || format!("{} calls ended more than a second late", get(&ledger.late)));
    report
        .check(get(&ledger.accepted) == get(&ledger.ended) + get(&ledger.silent), || "calls do not add up".to_owned());
    report.check(get(&world.unbalanced) == 0, || "statistics of a closed client do not add up".to_owned());
    report.check(get(&ledger.accepted) == get(&world.accepted), || {
        format!("clients counted {} calls, we {}", get(&world.accepted), get(&ledger.accepted))
    });
    report.check(get(&world.accepted) == get(&world.completed) + get(&world.cancelled), || {
        "accepted is not completed + cancelled".to_owned()
    });
    report.check(get(&world.slow_closes) == 0, || format!("{} closes took too long", get(&world.slow_closes)));
    report.check(get(&world.bad_forks) == 0, || format!("{} children ended badly", get(&world.bad_forks)));
    for (name, samples, few) in [("rss", resident, FEW_PAGES), ("heap", allocated, FEW_BLOCKS)] {
        match samples.slope() {
            Some(slope) => {
                report.figure(&format!("{name}_bytes_per_10k"), format!("{:.0}±{:.0}", slope.bytes, slope.error));
                report.check(!samples.grow_by(1024.0, few), || {
                    format!("{name} grows by {:.0}±{:.0} bytes for 10,000 calls", slope.bytes, slope.error)
                });
            }
            None => report.check(false, || format!("{} samples of {name} are too few", samples.len())),
        }
    }
}

/// Waits until nothing is under way and no client is there.
fn rest(world: &World) -> bool {
    world.ledger.pause.store(true, SeqCst);
    world.edge.behave();
    for client in &world.clients {
        retire(world, client, 2000);
    }
    eventually(Duration::from_secs(20), || world.ledger.under_way() == 0)
}

fn config(address: &str, kind: &str) -> Value {
    json!({
        "client": "demo", "organizationId": "0123456789ABCDEF01234567@AdobeOrg", "secure": false,
        "serverDomain": address, "pinServerDomain": true, "decisioningMethod": kind, "maxInFlight": 64, "maxQueued": 64,
        "artifactLocation": format!("http://{address}/demo/production/v1/rules.json"),
        "pollingInterval": 50, "allowFastPolling": true,
    })
}

fn options(random: &mut fastrand::Rng, what: What) -> String {
    let session = format!("s{}", random.u32(..1000));
    let request = match what {
        What::Notifications => json!({"notifications": [{"id": format!("n{}", random.u64(..)), "type": "display",
            "timestamp": 1_700_000_000_000_u64, "mbox": {"name": "homepage-hero"}}]}),
        _ => {
            let mboxes = json!({"mboxes": [{"index": 0, "name": "demo-engineering-flags"}, {"index": 1, "name": "homepage-hero"}]});
            match random.u8(..4) {
                0 => json!({"execute": mboxes}),
                1 => json!({"execute": mboxes, "prefetch": mboxes}),
                _ => json!({"prefetch": mboxes}),
            }
        }
    };
    let mut request = request;
    request["context"] = json!({"channel": "web"});
    json!({"sessionId": session, "request": request}).to_string()
}

fn work(world: &World, mut random: fastrand::Rng) {
    let ledger = world.ledger;
    while !ledger.stop.load(SeqCst) {
        if ledger.pause.load(SeqCst) || ledger.under_way() > CALLS_UNDER_WAY {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let slot = &world.clients[random.usize(..world.clients.len())];
        let what = [What::Offers, What::Offers, What::Attributes, What::Notifications][random.usize(..4)];
        let options = options(&mut random, what);
        let deadline_ms = [50, 200, 1000, 3000][random.usize(..4)];
        let deadline = Duration::from_millis(deadline_ms.into());
        let guard = slot.read().expect("no panics");
        let Some(client) = *guard else {
            drop(guard);
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        match random.u8(..10) {
            0 => {
                // The lock is not held meanwhile: closing in the middle of a call is part of it.
                drop(guard);
                let due = Instant::now() + deadline;
                let (status, result) = client.sync(what, &options, deadline_ms);
                if result == 0 {
                    ledger.refused.fetch_add(1, SeqCst);
                } else {
                    ledger.accepted.fetch_add(1, SeqCst);
                    ledger.ended_now(due, status == OK);
                    abi::free(result);
                }
            }
            1..=4 => by_callback(ledger, client, what, &options, deadline_ms, &mut random),
            _ => by_queue(world, client, what, &options, deadline_ms, &mut random),
        }
    }
}

fn by_callback(
    ledger: &'static Ledger,
    client: Client,
    what: What,
    options: &str,
    deadline_ms: u32,
    random: &mut fastrand::Rng,
) {
    let held = ledger.hold(Duration::from_millis(deadline_ms.into()));
    let call = Call::back(deadline_ms, on_done, held.cast(), release);
    // Counted before it can end.
    ledger.accepted.fetch_add(1, SeqCst);
    // SAFETY: the functions take what `hold` makes.
    match unsafe { client.submit(what, options, &call) } {
        Ok(request) => end_early(request, random),
        Err(_) => {
            ledger.accepted.fetch_sub(1, SeqCst);
            ledger.refused.fetch_add(1, SeqCst);
            // SAFETY: refused.
            unsafe { super::ledger::Held::take_back(held) };
        }
    }
}

fn by_queue(world: &World, client: Client, what: What, options: &str, deadline_ms: u32, random: &mut fastrand::Rng) {
    let ledger = world.ledger;
    let tag = ledger.tag();
    ledger.open(tag, Duration::from_millis(deadline_ms.into()));
    ledger.accepted.fetch_add(1, SeqCst);
    match client.submit_to(world.queue, tag, what, options, deadline_ms) {
        Ok(request) => {
            if random.u8(..20) == 0 {
                abi::cancel(request);
            }
        }
        Err(_) => {
            ledger.strike(tag);
            ledger.accepted.fetch_sub(1, SeqCst);
            ledger.refused.fetch_add(1, SeqCst);
        }
    }
}

/// Some are cancelled, some abandoned, at once or in a moment.
fn end_early(request: u64, random: &mut fastrand::Rng) {
    match random.u8(..20) {
        0 => {
            abi::cancel(request);
        }
        1 => {
            abi::abandon(request);
        }
        2 => {
            std::thread::sleep(Duration::from_micros(random.u64(..2000)));
            abi::cancel(request);
        }
        3 => {
            std::thread::sleep(Duration::from_micros(random.u64(..2000)));
            abi::abandon(request);
        }
        _ => {}
    }
}

/// Takes completions from the queue, and events with them.
fn collect(world: &World) {
    loop {
        let some = world.queue.poll(64, 20);
        if some.is_empty() && world.ledger.stop.load(SeqCst) && world.ledger.under_way() == 0 {
            return;
        }
        for done in some {
            if !done.is_event() {
                world.ledger.end(done.tag, done.status == OK);
            }
            abi::free(done.result);
        }
    }
}

/// Clients come and go.
fn churn(world: &World, mut random: fastrand::Rng) {
    while !world.ledger.stop.load(SeqCst) {
        if world.ledger.pause.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let at = random.usize(..KINDS.len());
        let slot = &world.clients[at];
        let drain = [0, 0, 50, 300][random.usize(..4)];
        retire(world, slot, drain);
        let events = (random.u8(..2) == 0).then_some((world.queue, u64::MAX));
        let client = Client::create(&config(&world.edge.address, KINDS[at]).to_string(), events).expect("a client");
        if KINDS[at] != "server-side" && random.u8(..2) == 0 {
            client.wait_ready(500);
        }
        *slot.write().expect("no panics") = Some(client);
        if world.ledger.pause.load(SeqCst) {
            // Everything is being brought to rest: this one came too late.
            retire(world, slot, 2000);
        }
        world.churns.fetch_add(1, SeqCst);
        std::thread::sleep(Duration::from_millis(random.u64(50..400)));
    }
}

/// Closes the client in the middle of whatever it does, and adds up.
fn retire(world: &World, slot: &RwLock<Option<Client>>, drain_ms: u32) {
    const SLACK_MS: u64 = 1000;
    let Some(client) = slot.write().expect("no panics").take() else { return };
    let began = Instant::now();
    let (status, _) = client.close(drain_ms);
    let overrun = (began.elapsed().as_millis() as u64).saturating_sub(u64::from(drain_ms));
    world.worst_close_ms.fetch_max(overrun, SeqCst);
    let stutter = world.ledger.machine_ms();
    // Cutting off takes threads that wake up in time: where they do not, close says so instead of waiting.
    if overrun > 200 + SLACK_MS {
        eprintln!(
            "close took {overrun} ms more than {drain_ms} ms (a sleeper {} ms, the machine {stutter} ms late)",
            world.ledger.stutter.load(SeqCst)
        );
    }
    let gave_up = status == CALLBACK_STUCK && stutter > 50;
    if (status != OK && !gave_up) || overrun > 200 + SLACK_MS + stutter {
        world.slow_closes.fetch_add(1, SeqCst);
    }
    // Tasks that were cut off are gone in a moment.
    eventually(Duration::from_secs(5), || client.stats()["calls"]["inFlight"] == 0);
    let calls = client.stats()["calls"].clone();
    let count = |name: &str| calls[name].as_u64().unwrap_or(u64::MAX);
    if count("inFlight") != 0 || count("accepted") != count("completed") + count("cancelled") {
        world.unbalanced.fetch_add(1, SeqCst);
        eprintln!("does not add up: {calls}");
    }
    world.accepted.fetch_add(count("accepted"), SeqCst);
    world.completed.fetch_add(count("completed"), SeqCst);
    world.cancelled.fetch_add(count("cancelled"), SeqCst);
    client.destroy();
}

fn break_things(world: &World, mut random: fastrand::Rng) {
    while !world.ledger.stop.load(SeqCst) {
        if !world.ledger.pause.load(SeqCst) {
            let target = ["delivery", "delivery", "delivery", "artifact"][random.usize(..4)];
            match random.u8(..8) {
                0 => world.edge.behave(),
                1 => world.edge.fault(target, "", random.u32(1..20), random.u32(1..300)),
                _ => world.edge.fault(target, FAULTS[random.usize(..FAULTS.len())], random.u32(1..8), 0),
            }
            world.faults.fetch_add(1, SeqCst);
        }
        std::thread::sleep(Duration::from_millis(random.u64(20..200)));
    }
    world.edge.behave();
}

fn have_children(world: &World) {
    let mut turn = 0;
    while !world.ledger.stop.load(SeqCst) {
        turn += 1;
        let client = world.clients[turn % KINDS.len()].read().expect("no panics").map(|client| client.0);
        let well = match client {
            Some(client) if turn % 4 == 0 => fork::inherit(client),
            _ => fork::exec(),
        };
        world.forks.fetch_add(1, SeqCst);
        if !well {
            world.bad_forks.fetch_add(1, SeqCst);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// How much the machine keeps a thread waiting that wants nothing but to wake up, and threads that have something to do:
/// the worst of each, of the last ten seconds.
fn stutter(ledger: &Ledger) {
    const WINDOW: usize = 500;
    const READ_EVERY: usize = 10;
    let nap = Duration::from_millis(20);
    let (mut recent, mut waited) = (VecDeque::new(), VecDeque::new());
    let mut turn = 0;
    while !ledger.stop.load(SeqCst) {
        let began = Instant::now();
        std::thread::sleep(nap);
        recent.push_back((began.elapsed() - nap).as_millis() as u64);
        if recent.len() > WINDOW {
            recent.pop_front();
        }
        ledger.stutter.store(recent.iter().copied().max().unwrap_or(0), SeqCst);
        turn += 1;
        if turn % READ_EVERY == 0 {
            waited.push_back(process::waits_ms("target-"));
            if waited.len() > WINDOW / READ_EVERY {
                *ledger.waits.lock().expect("no panics") = waited.pop_front().unwrap_or_default();
                ledger.worst_machine.fetch_max(ledger.machine_ms(), SeqCst);
            }
        }
    }
}
