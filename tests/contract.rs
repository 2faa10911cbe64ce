//! Compiles the C and C++ programs of `tests/c` against the built library and runs them: the contract as hosts see it.
//!
//! A program that exits with 0 and says nothing has passed. Lines that start with `SKIPPED:` are repeated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo put the library: test executables are in `target/<profile>/deps`. `TARGET_SDK_TEST_LIBRARY` names another one to test,
/// with the archive beside it: that of a package.
fn profile_dir() -> PathBuf {
    let executable = std::env::current_exe().expect("path of the test");
    let dir = match std::env::var_os("TARGET_SDK_TEST_LIBRARY") {
        Some(library) => Path::new(&library).parent().expect("directory of the library").to_owned(),
        None => executable.ancestors().nth(2).expect("target directory").to_owned(),
    };
    assert!(dir.join("libtarget_sdk.so").exists(), "{} holds no libtarget_sdk.so", dir.display());
    dir
}

/// Where programs go. The library is there, too, under the name that the linker wrote into them: its soname.
fn build_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for old in std::fs::read_dir(all).expect("directory for tests").flatten() {
            let name = old.file_name().to_string_lossy().into_owned();
            if let Some(process) = name.strip_prefix("contract-")
                && !Path::new("/proc").join(process).exists()
            {
                let _ = std::fs::remove_dir_all(old.path());
            }
        }
        let dir = all.join(format!("contract-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("directory for programs");
        let library = profile_dir().join("libtarget_sdk.so");
        for name in ["libtarget_sdk.so", "libtarget_sdk.so.0"] {
            std::os::unix::fs::symlink(&library, dir.join(name)).expect("link to the library");
        }
        dir
    })
}

fn checked(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Compiles `tests/c/<file>` with `arguments` and links it with the library; returns the program.
fn compile(file: &str) -> PathBuf {
    static COMPILED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let program = build_dir().join(file.replace('.', "_"));
    if compiled.iter().any(|done| done == file) {
        return program;
    }
    let (compiler, standard) = if file.ends_with(".cpp") { ("g++", "-std=c++17") } else { ("cc", "-std=c99") };
    let mut command = Command::new(compiler);
    command.arg(standard).args(WARNINGS).arg("-I").arg(root().join("include"));
    command.arg(root().join("tests/c").join(file)).arg("-o").arg(&program).args(["-pthread", "-ldl"]);
    // A program that is about dlopen must not be linked with what it opens.
    if file != "dlopen.c" {
        command.arg("-L").arg(build_dir()).arg("-ltarget_sdk").arg(format!("-Wl,-rpath,{}", build_dir().display()));
    }
    checked(&mut command);
    compiled.push(file.to_owned());
    program
}

/// Programs that measure time run alone, others beside each other.
static QUIET: RwLock<()> = RwLock::new(());

struct Run<'a> {
    file: &'a str,
    arguments: &'a [&'a str],
    seconds: u64,
    alone: bool,
    under: &'a [&'a str],
}

impl Run<'_> {
    fn new(file: &str) -> Run<'_> {
        Run { file, arguments: &[], seconds: 60, alone: false, under: &[] }
    }

    fn go(self) {
        self.go_with_log(Path::new("/dev/null"));
    }

    /// Runs the program; `log` is shown when that fails.
    fn go_with_log(self, log: &Path) {
        let program = compile(self.file);
        let (_alone, _together);
        if self.alone {
            _alone = QUIET.write().unwrap_or_else(PoisonError::into_inner);
        } else {
            _together = QUIET.read().unwrap_or_else(PoisonError::into_inner);
        }
        let mut command = match self.under {
            [] => Command::new(&program),
            [tool, options @ ..] => {
                let mut command = Command::new(tool);
                command.args(options).arg(&program);
                command
            }
        };
        command
            .args(self.arguments)
            .current_dir(build_dir())
            // Cargo names its own directories there, which would go before what the programs were linked with.
            .env("LD_LIBRARY_PATH", build_dir())
            .env("TARGET_SDK_LIBRARY", build_dir().join("libtarget_sdk.so"));
        if !self.under.is_empty() {
            command.env("CHECK_SLOWNESS", "10");
        }
        let started = Instant::now();
        let (output, timed_out) = bounded(command, Duration::from_secs(self.seconds));
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let (skipped, said): (Vec<_>, Vec<_>) = stdout.lines().partition(|line| line.starts_with("SKIPPED:"));
        for line in skipped {
            eprintln!("{}: {line}", self.file);
        }
        let what = if timed_out {
            format!("did not end within {} s and was killed", self.seconds)
        } else if let Some(signal) = output.status.signal() {
            format!("was killed by signal {signal}")
        } else if !output.status.success() {
            format!("exited with {:?}", output.status.code())
        } else if !said.is_empty() || !stderr.is_empty() {
            "wrote to the host's standard streams".to_owned()
        } else {
            return;
        };
        panic!(
            "{} {:?} {what} after {:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n{}",
            self.file,
            self.arguments,
            started.elapsed(),
            std::fs::read_to_string(log).unwrap_or_default(),
        );
    }
}

/// Runs `command` in a process group of its own, so that nothing of it outlives the time it gets.
fn bounded(mut command: Command, time: Duration) -> (Output, bool) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let read = |mut pipe: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            bytes
        })
    };
    let stdout = read(Box::new(child.stdout.take().expect("piped")));
    let stderr = read(Box::new(child.stderr.take().expect("piped")));
    let until = Instant::now() + time;
    let mut timed_out = false;
    // The pipes close when the last process that has them ends: forked children count, too.
    while !(stdout.is_finished() && stderr.is_finished()) {
        if Instant::now() > until {
            timed_out = true;
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let status = child.wait().expect("exit status");
    let output = Output {
        status,
        stdout: stdout.join().expect("reader of stdout"),
        stderr: stderr.join().expect("reader of stderr"),
    };
    (output, timed_out)
}

#[test]
fn null_and_bad_arguments_are_refused() {
    Run::new("null_and_bad.c").go();
}

#[test]
fn statuses_and_constants() {
    Run::new("statuses.c").go();
}

/// Alone, twice, in each language that includes it.
#[test]
fn header_compiles_alone() {
    let include = root().join("include");
    for (compiler, standard, language) in
        [("cc", "-std=c99", "c"), ("cc", "-std=c11", "c"), ("g++", "-std=c++11", "c++"), ("g++", "-std=c++17", "c++")]
    {
        for includes in [1, 2] {
            let name = format!("header{standard}-{includes}");
            let source = build_dir().join(format!("{name}.{}", if language == "c" { "c" } else { "cpp" }));
            std::fs::write(&source, "#include \"target_sdk.h\"\n".repeat(includes) + "int main(void) { return 0; }\n")
                .expect("write a source");
            let mut command = Command::new(compiler);
            command.arg(standard).args(WARNINGS).arg("-I").arg(&include).arg("-fsyntax-only").arg(&source);
            checked(&mut command);
        }
    }
}

#[test]
fn callbacks() {
    Run::new("callbacks.c").go();
}

#[test]
fn queues() {
    Run { alone: true, ..Run::new("queues.c") }.go();
}

#[test]
fn exactly_once() {
    Run { arguments: &["50", "2000"], seconds: 120, ..Run::new("exactly_once.c") }.go();
}

#[test]
fn exactly_once_while_the_library_stops_and_starts() {
    for seed in ["1", "2", "3", "4"] {
        Run { arguments: &["16", "3000", seed, "shutdown"], ..Run::new("exactly_once.c") }.go();
    }
}

#[test]
fn close_destroy_and_shutdown() {
    Run { alone: true, ..Run::new("close.c") }.go();
}

#[test]
fn fork() {
    Run { seconds: 120, ..Run::new("fork.c") }.go();
}

#[test]
fn exit_with_calls_in_flight() {
    for how in ["plain", "close", "shutdown", "busy", "callback", "thread"] {
        for after_ms in ["0", "1", "2", "3", "4", "5", "6", "8"] {
            Run { alone: true, arguments: &[how, after_ms], ..Run::new("exit_in_flight.c") }.go();
        }
    }
}

#[test]
fn exit_with_static_objects() {
    for after_ms in ["0", "1", "2", "3", "4"].repeat(10) {
        Run { alone: true, arguments: &[after_ms], ..Run::new("exit_in_flight.cpp") }.go();
    }
}

#[test]
fn signals_and_other_property_of_the_host() {
    Run::new("signals.c").go();
}

#[test]
fn dlopen_and_dlclose() {
    Run::new("dlopen.c").go();
}

#[test]
fn synchronous_calls() {
    Run { alone: true, ..Run::new("sync.c") }.go();
}

/// Programs that end with `target_shutdown` leave no memory, no descriptor, and touch nothing that is not theirs.
#[test]
fn nothing_is_leaked() {
    let programs: [(&str, &[&str]); 5] = [
        ("null_and_bad.c", &["200"]),
        ("callbacks.c", &["3"]),
        ("queues.c", &["300"]),
        ("close.c", &["8"]),
        ("exactly_once.c", &["8", "50"]),
    ];
    if let Err(error) = Command::new("valgrind").arg("--version").output() {
        panic!("this test needs valgrind (`make tools` or your package manager installs it): {error}");
    }
    for (file, arguments) in programs {
        let log = build_dir().join(format!("{file}.valgrind"));
        let log_file = format!("--log-file={}", log.display());
        let suppressions = format!("--suppressions={}", root().join("tests/valgrind.supp").display());
        Run {
            arguments,
            seconds: 150,
            under: &[
                "valgrind",
                "--leak-check=full",
                "--errors-for-leak-kinds=definite,possible",
                "--track-fds=yes",
                "--fair-sched=yes",
                "--error-exitcode=99",
                &log_file,
                &suppressions,
            ],
            ..Run::new(file)
        }
        .go_with_log(&log);
        let report = std::fs::read_to_string(&log).expect("report of valgrind");
        assert_eq!(descriptors_left_open(&report), Vec::<String>::new(), "{file} leaves descriptors open:\n{report}");
    }
}

/// What valgrind lists as open at exit, but for what the process was started with.
fn descriptors_left_open(report: &str) -> Vec<String> {
    let lines: Vec<&str> = report.lines().filter_map(|line| Some(line.split_once("== ")?.1.trim())).collect();
    lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("Open ") && !pair[1].contains("inherited from parent"))
        .map(|pair| pair[0].to_owned())
        .collect()
}

/// The same contract from the archive, with the libraries that a static host must name.
#[test]
fn statically_linked() {
    let program = build_dir().join("null_and_bad_static");
    let mut command = Command::new("cc");
    command.arg("-std=c99").args(WARNINGS).arg("-I").arg(root().join("include"));
    command.arg(root().join("tests/c/null_and_bad.c")).arg("-o").arg(&program);
    command.arg(profile_dir().join("libtarget_sdk.a")).args(["-pthread", "-ldl", "-lm", "-lgcc_s", "-lc"]);
    checked(&mut command);
    let mut command = Command::new(&program);
    command.arg("1000");
    let (output, timed_out) = bounded(command, Duration::from_secs(60));
    assert!(!timed_out && output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
