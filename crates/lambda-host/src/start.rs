//! How an environment comes to be: its folder, its variables, its address, its process.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;
use rustix::process::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::environment::{EndWhenDropped, Shared};
use crate::environment_id::EnvironmentId;
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::members::{Look, Members};
use crate::output::{Output, Reader};
use crate::pool::Pool;
use crate::process::Process;
use crate::procfs::{self, Holds};
use crate::runtime_api::{self, Caller, FindCaller, RuntimeApi};
use crate::scratch::Scratch;
use crate::supervisor::{self, Supervised};
use crate::variables;
use crate::watch::Watch;

/// Starts an environment and waits until its runtime asks for an invocation.
pub(crate) async fn environment(
    pool: &Arc<Pool>,
    place: OwnedSemaphorePermit,
) -> Result<Arc<Shared>, Failure> {
    let id = EnvironmentId::new().map_err(|why| not_started("no random numbers", why))?;
    let mut own =
        (pool.config.new_environment)(&id).map_err(|reason| Failure::NotStarted { reason })?;
    let told = Told {
        pool: pool.clone(),
        id: id.clone(),
    };
    let (shared, supervised) = start(pool, place, told, &mut own).await?;
    let (started, is_started) = oneshot::channel();
    pool.register(&shared)?;
    tokio::spawn(supervisor::supervise(shared.clone(), supervised, started));
    let unwanted = EndWhenDropped(Some(shared.clone()));
    let result = is_started.await.unwrap_or(Err(Failure::Stopped));
    unwanted.forget();
    result.map(|()| shared)
}

/// Tells the owner of the host, when it is dropped, that an environment it made variables for is gone.
pub(crate) struct Told {
    pool: Arc<Pool>,
    id: EnvironmentId,
}

impl Drop for Told {
    fn drop(&mut self) {
        (self.pool.config.environment_ended)(&self.id);
    }
}

async fn start(
    pool: &Arc<Pool>,
    place: OwnedSemaphorePermit,
    told: Told,
    own: &mut Vec<(std::ffi::OsString, std::ffi::OsString)>,
) -> Result<(Arc<Shared>, Supervised), Failure> {
    let config = &pool.config;
    let born = Instant::now();
    let id = told.id.clone();
    let scratch = Scratch::new(&config.scratch, id.as_str())
        .map_err(|why| not_started("its temporary folder cannot be made", why))?;
    let listener = runtime_api::listen()
        .await
        .map_err(|why| not_started("no port for its Runtime API", why))?;
    let address = listener
        .local_addr()
        .map_err(|why| not_started("no port for its Runtime API", why))?;
    let log_stream = variables::log_stream_name(&id);
    let all = variables::of(
        config,
        &log_stream,
        address,
        scratch.path(),
        std::mem::take(own),
    );
    let mark = format!("AWS_LAMBDA_LOG_STREAM_NAME={log_stream}").into_bytes();
    // Before the process starts, so that its end is not missed.
    let children = signal(SignalKind::child())
        .map_err(|why| not_started("the end of processes cannot be watched", why))?;
    let (read, write) =
        std::io::pipe().map_err(|why| not_started("no pipe for its output", why))?;
    let output = Output::new(config.log_bytes_max);
    let reader = Reader::start(OwnedFd::from(read), output.clone())
        .map_err(|why| not_started("its output cannot be read", why))?;
    let memory_bytes_max = u64::from(config.memory_mib) << 20;
    let cgroup = match &config.cgroups {
        Some(cgroups) => Some(Arc::new(
            cgroups
                .make(id.as_str(), memory_bytes_max)
                .map_err(|why| not_started("no control group for its memory", why))?,
        )),
        None => None,
    };
    let process = Process::start(config, cgroup.as_deref(), all, OwnedFd::from(write))
        .map_err(|reason| Failure::NotStarted { reason })?;
    let members = Arc::new(Mutex::new(Members::new(
        process.pid(),
        mark,
        cgroup.clone(),
    )));
    let (signals, signalled) = mpsc::unbounded_channel();
    let exchange = Arc::new(Exchange::new(signals.clone()));
    let function_arn = HeaderValue::try_from(config.function_arn())
        .map_err(|why| not_started("its ARN is no header", why))?;
    let api = RuntimeApi::serve(
        listener,
        exchange.clone(),
        function_arn,
        find_caller(process.pid(), members.clone()),
    )
    .map_err(|why| not_started("its Runtime API cannot be served", why))?;
    let watch = Watch::new(
        config,
        pool.scanner.clone(),
        members.clone(),
        cgroup.clone(),
        scratch.path().to_owned(),
    );
    let shared = Arc::new(Shared {
        id,
        pid: process.pid(),
        pool: pool.clone(),
        exchange,
        signals,
        output,
        reader,
        born,
        invocations: AtomicU32::new(0),
        memory_bytes_max: AtomicU64::new(0),
        place: Mutex::new(Some(place)),
        init_duration: Mutex::default(),
        settled: watch::Sender::new(0),
        is_gone: watch::Sender::new(false),
        is_ending: AtomicBool::new(false),
    });
    let supervised = Supervised {
        process,
        members,
        cgroup,
        watch,
        api,
        scratch,
        told,
        signalled,
        children,
    };
    Ok((shared, supervised))
}

/// Knows a connection by the process that holds its other end. Where that cannot be found out, because there is no `/proc`
/// or a process of the environment runs as another user, the connection is taken for the environment's own.
fn find_caller(leader: Pid, members: Arc<Mutex<Members>>) -> FindCaller {
    Arc::new(move |peer: SocketAddr, own: SocketAddr| {
        if !cfg!(target_os = "linux") {
            return Caller::Own;
        }
        // A socket that its process has closed has the number 0.
        let Some(socket) = procfs::socket(peer, own).filter(|it| *it != 0) else {
            return Caller::Gone;
        };
        if procfs::holds_socket(leader.as_raw_nonzero().get(), socket) == Holds::Yes {
            return Caller::Own;
        }
        let all = procfs::processes();
        let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = members
            .among(&all, Look::Thorough)
            .iter()
            .any(|it| procfs::holds_socket(it.pid, socket) != Holds::No);
        match procfs::socket(peer, own).filter(|it| *it != 0) {
            _ if is_own => Caller::Own,
            Some(_) => Caller::Stranger,
            // Closed while we looked.
            None => Caller::Gone,
        }
    })
}

fn not_started(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::NotStarted {
        reason: format!("{what}: {why}"),
    }
}
