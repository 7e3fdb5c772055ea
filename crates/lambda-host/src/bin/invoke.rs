//! Runs a Lambda function's executable on the events of standard input, one JSON text a line, and answers each with a line:
//! `{"n": 0, "answer": …}` or `{"n": 0, "failure": "…"}`, `n` being the event's number from 0, with the invocation's
//! `duration_ms`, the environment's `init_ms` if it was started for it, and `memory_bytes_max`. Answers come as they are
//! there. Ends when standard input has ended and everything is answered.
//!
//! The function gets this process's `AWS_` and `TWO_BUCKETS_` variables. `invoke --help` says what can be set.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use two_buckets_lambda_host::{Config, Environment, Host, Invocation, Log};

const USAGE: &str = "invoke [--concurrency N] [--timeout-s S] [--memory-mib M] PROGRAM";
/// What only the host may set and what it is asked for by name instead.
const OF_THE_HOST: [&str; 3] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            _ = writeln!(std::io::stderr(), "invoke: {problem}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), String> {
    let (program, options) = arguments()?;
    let concurrency = options.get("--concurrency").copied().unwrap_or(1);
    let scratch = std::env::temp_dir().join(format!("invoke-{}", std::process::id()));
    std::fs::create_dir(&scratch).map_err(|error| error.to_string())?;
    let host = Host::start(config(&program, &options, concurrency, &scratch))
        .map_err(|invalid| invalid.to_string())?;
    let host = Arc::new(host);
    let room = Arc::new(Semaphore::new(concurrency));
    let mut running = JoinSet::new();
    let (send, mut events) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let mut n = 0_u64;
    while let Some(event) = events.recv().await {
        let room = Arc::clone(&room).acquire_owned().await;
        let host = Arc::clone(&host);
        let number = n;
        running.spawn(async move {
            let _room = room;
            say(&answer(&host, number, event).await);
        });
        n += 1;
    }
    while running.join_next().await.is_some() {}
    host.stop().await;
    _ = std::fs::remove_dir_all(&scratch);
    Ok(())
}

async fn answer(host: &Host, n: u64, event: String) -> Value {
    let log: Log = Arc::new(|bytes| _ = std::io::stderr().write_all(bytes));
    let invocation = Invocation {
        log,
        ..Invocation::new(event)
    };
    let invoked = match host.acquire().await {
        Ok(environment) => Environment::invoke(environment, invocation).await,
        Err(failure) => Err(failure),
    };
    match invoked {
        Ok(response) => {
            let answer: Value = serde_json::from_slice(&response.payload).unwrap_or_default();
            json!({
                "n": n,
                "answer": answer,
                "duration_ms": response.duration.as_secs_f64() * 1_000.0,
                "init_ms": response.init_duration.map(|init| init.as_secs_f64() * 1_000.0),
                "memory_bytes_max": response.memory_bytes_max,
            })
        }
        Err(failure) => json!({"n": n, "failure": failure.to_string()}),
    }
}

fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    // Whoever does not read the answers any more does not want them.
    _ = writeln!(out, "{line}");
    _ = out.flush();
}

fn arguments() -> Result<(PathBuf, HashMap<String, usize>), String> {
    let (mut program, mut options) = (None, HashMap::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if ["--concurrency", "--timeout-s", "--memory-mib"].contains(&word.as_str()) {
            let number = words.next().and_then(|text| text.parse().ok());
            options.insert(word, number.ok_or(USAGE)?);
        } else if word.starts_with('-') || program.is_some() {
            return Err(USAGE.to_owned());
        } else {
            program = Some(PathBuf::from(word));
        }
    }
    Ok((program.ok_or(USAGE)?, options))
}

fn config(
    program: &std::path::Path,
    options: &HashMap<String, usize>,
    concurrency: usize,
    scratch: &std::path::Path,
) -> Config {
    let number = |name: &str, default: usize| options.get(name).copied().unwrap_or(default);
    let is_handed_on = |name: &OsString| {
        let name = name.to_string_lossy();
        (name.starts_with("AWS_") || name.starts_with("TWO_BUCKETS_"))
            && !OF_THE_HOST.contains(&&*name)
            && name != "AWS_REGION"
    };
    Config {
        name: "function".to_owned(),
        region: std::env::var_os("AWS_REGION")
            .and_then(|region| region.into_string().ok())
            .unwrap_or_else(|| "us-east-1".to_owned()),
        command: vec![program.as_os_str().to_owned()],
        folder: program.parent().map(Into::into).unwrap_or_default(),
        handler: "bootstrap".to_owned(),
        variables: std::env::vars_os()
            .filter(|(name, _)| is_handed_on(name))
            .collect(),
        concurrency,
        memory_mib: u32::try_from(number("--memory-mib", 512)).unwrap_or(u32::MAX),
        cgroups: None,
        timeout: Duration::from_secs(number("--timeout-s", 60) as u64),
        init_timeout: Duration::from_secs(10),
        kill_after: Duration::ZERO,
        idle_timeout: Duration::from_mins(5),
        recycle_after: u32::MAX,
        life_max: Duration::from_hours(2),
        scratch: scratch.to_owned(),
        scratch_bytes_max: 512 << 20,
        log_bytes_max: 1 << 20,
        new_environment: Arc::new(|_| {
            let given = |name: &str| Some((OsString::from(name), std::env::var_os(name)?));
            Ok(OF_THE_HOST.into_iter().filter_map(given).collect())
        }),
        environment_ended: Arc::new(|_| {}),
    }
}
