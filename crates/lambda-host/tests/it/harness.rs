//! A host with a folder of its own, and what tests look at.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tempfile::TempDir;
use two_buckets_lambda_host::{
    Cgroups, Config, Delegated, Environment, Failure, Host, Invocation, Response,
};

/// Longer than anything that should happen takes, on a machine that is busy.
pub(crate) const LONG: Duration = Duration::from_mins(1);

pub(crate) struct Function {
    pub(crate) host: Host,
    pub(crate) folder: TempDir,
    /// Which environments were told to be gone.
    pub(crate) gone: Arc<Mutex<Vec<String>>>,
}

/// A built example of this crate, which lies beside the test program's folder.
pub(crate) fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join(name)
}

/// The control groups of this process, where it has a group of its own to divide: then every test runs in them.
pub(crate) fn cgroups() -> Result<&'static Cgroups, &'static str> {
    let taken = CGROUPS.get_or_init(|| {
        let delegated = Delegated::find().map_err(|why| why.to_string())?;
        let left = delegated.folder().join("environment-left");
        std::fs::create_dir(&left).unwrap();
        let child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        std::fs::write(left.join("cgroup.procs"), child.id().to_string()).unwrap();
        *LEFT.lock().unwrap() = Some(child);
        delegated
            .take(example("enter"))
            .map_err(|why| why.to_string())
    });
    taken.as_ref().map_err(String::as_str)
}

static CGROUPS: OnceLock<Result<Cgroups, String>> = OnceLock::new();
static LEFT: Mutex<Option<Child>> = Mutex::new(None);

/// A process that was in a group when the control groups were taken, as if an earlier server had left it.
pub(crate) fn left_behind() -> Child {
    LEFT.lock().unwrap().take().unwrap()
}

impl Function {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Function {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("scratch");
        std::fs::create_dir(&scratch).unwrap();
        std::fs::create_dir(folder.path().join("code")).unwrap();
        let gone: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = gone.clone();
        let mut config = Config {
            name: "sorter".into(),
            region: "eu-central-1".into(),
            command: vec![example("unruly").into()],
            folder: folder.path().join("code"),
            handler: "index.handler".into(),
            variables: Vec::new(),
            concurrency: 1,
            memory_mib: 512,
            cgroups: cgroups().ok().cloned(),
            timeout: LONG,
            init_timeout: LONG,
            kill_after: Duration::from_millis(200),
            idle_timeout: LONG,
            recycle_after: 1000,
            life_max: LONG * 10,
            scratch,
            scratch_bytes_max: 64 << 20,
            log_bytes_max: 1 << 20,
            new_environment: Arc::new(|_| Ok(Vec::new())),
            environment_ended: Arc::new(move |id| told.lock().unwrap().push(id.to_string())),
        };
        change(&mut config);
        Function {
            host: Host::start(config).unwrap(),
            folder,
            gone,
        }
    }

    /// A function whose runtime is this script, run by bash.
    pub(crate) fn script(text: &str, change: impl FnOnce(&mut Config)) -> Function {
        Function::new(|config| {
            let bootstrap = config.folder.join("bootstrap");
            std::fs::write(&bootstrap, text).unwrap();
            config.command = vec!["bash".into(), bootstrap.into()];
            change(config);
        })
    }

    pub(crate) async fn acquire(&self) -> Result<Environment, Failure> {
        within(self.host.acquire()).await
    }

    pub(crate) async fn invoke(&self, event: &str) -> Result<Response, Failure> {
        self.invoke_with_log(event).await.0
    }

    /// The response as text.
    pub(crate) async fn text(&self, event: &str) -> String {
        let response = self.invoke(event).await.unwrap();
        String::from_utf8(response.payload.to_vec()).unwrap()
    }

    pub(crate) async fn invoke_with_log(&self, event: &str) -> (Result<Response, Failure>, String) {
        let log = Written::default();
        let environment = match self.acquire().await {
            Ok(environment) => environment,
            Err(why) => return (Err(why), String::new()),
        };
        let result = within(environment.invoke(log.invocation(event))).await;
        (result, log.text())
    }

    /// What is in the folder that holds the environments' own.
    pub(crate) fn scratch_folders(&self) -> Vec<OsString> {
        let folder = self.folder.path().join("scratch");
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|it| it.unwrap().file_name()).collect()
    }
}

/// Keeps what a log was given.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(crate) fn invocation(&self, event: &str) -> Invocation {
        let mut invocation = Invocation::new(event.to_owned());
        let written = self.0.clone();
        invocation.log = Arc::new(move |bytes| written.lock().unwrap().extend_from_slice(bytes));
        invocation
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, work)
        .await
        .expect("it takes too long")
}

/// Waits until something is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    within(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The pids of processes that run and belong to this environment, by the mark among their variables.
pub(crate) fn processes_of(environment: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let variables = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let marked = String::from_utf8_lossy(&variables)
            .split('\0')
            .any(|it| it.starts_with("AWS_LAMBDA_LOG_STREAM_NAME=") && it.contains(environment));
        if marked && !status.contains("State:\tZ") {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

/// What an environment variable names, or the word that a test is skipped and why.
pub(crate) fn named(variable: &str, what: &str) -> Option<OsString> {
    let named = std::env::var_os(variable);
    if named.is_none() {
        skipped(&format!("{variable} does not name {what}"));
    }
    named
}

/// Says that a test is not run and why, past the test harness, which shows to nobody what passing tests print.
pub(crate) fn skipped(why: &str) {
    std::io::stderr()
        .write_all(format!("skipped: {why}\n").as_bytes())
        .unwrap();
}
