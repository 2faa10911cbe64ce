//! What tests share that compile and run C and C++ programs: the compilers, the library they link, bounds on time.
#![allow(dead_code)] // not every test needs everything

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

pub(crate) const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"];

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo put the library: test executables are in `target/<profile>/deps`.
/// `TARGET_SDK_TEST_LIBRARY` names another one to test, with the archive beside it: that of a package.
pub(crate) fn profile_dir() -> PathBuf {
    let executable = std::env::current_exe().expect("path of the test");
    let dir = match std::env::var_os("TARGET_SDK_TEST_LIBRARY") {
        Some(library) => Path::new(&library).parent().expect("directory of the library").to_owned(),
        None => executable.ancestors().nth(2).expect("target directory").to_owned(),
    };
    assert!(dir.join("libtarget_sdk.so").exists(), "{} holds no libtarget_sdk.so", dir.display());
    dir
}

/// Where programs go. The library is there, too, under the name that the linker wrote into them: its soname.
pub(crate) fn build_dir() -> &'static Path {
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

pub(crate) fn checked(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Programs that open the library themselves, and so must not be linked with it.
const UNLINKED: [&str; 2] = ["c/dlopen.c", "hygiene/copies.c"];

/// Compiles `tests/<file>` and links it with the library; returns the program.
pub(crate) fn compile(file: &str) -> PathBuf {
    static COMPILED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let program = build_dir().join(file.replace(['.', '/'], "_"));
    if compiled.iter().any(|done| done == file) {
        return program;
    }
    let (compiler, standard) = if file.ends_with(".cpp") { ("g++", "-std=c++17") } else { ("cc", "-std=c99") };
    let mut command = Command::new(compiler);
    command.arg(standard).args(WARNINGS);
    for headers in [&root().join("include"), &root().join("tests/c"), build_dir()] {
        command.arg("-I").arg(headers);
    }
    // Functions of the program may take the place of libc's: -rdynamic lets the library find them.
    command.arg(root().join("tests").join(file)).arg("-o").arg(&program).args(["-pthread", "-ldl", "-lm", "-rdynamic"]);
    if !UNLINKED.contains(&file) {
        command.arg("-L").arg(build_dir()).arg("-ltarget_sdk").arg(format!("-Wl,-rpath,{}", build_dir().display()));
    }
    checked(&mut command);
    compiled.push(file.to_owned());
    program
}

/// Programs that measure time run alone, others beside each other.
static QUIET: RwLock<()> = RwLock::new(());

pub(crate) struct Run<'a> {
    pub(crate) file: &'a str,
    pub(crate) arguments: &'a [&'a str],
    pub(crate) seconds: u64,
    pub(crate) alone: bool,
    pub(crate) under: &'a [&'a str],
    pub(crate) environment: &'a [(&'a str, &'a str)],
}

impl Run<'_> {
    pub(crate) fn new(file: &str) -> Run<'_> {
        Run { file, arguments: &[], seconds: 60, alone: false, under: &[], environment: &[] }
    }

    pub(crate) fn go(self) {
        self.go_with_log(Path::new("/dev/null"));
    }

    /// Runs the program; `log` is shown when that fails.
    pub(crate) fn go_with_log(self, log: &Path) {
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
            .env("TARGET_SDK_LIBRARY", build_dir().join("libtarget_sdk.so"))
            .envs(self.environment.iter().copied());
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
pub(crate) fn bounded(mut command: Command, time: Duration) -> (Output, bool) {
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
