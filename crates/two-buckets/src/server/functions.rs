//! What runs on each file: the processor that the program was built around, or what the settings bring instead, by
//! routes where there are some. Functions get a listener of their own here.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use two_buckets_lambda_host as lambda;
use two_buckets_local::{Function, FunctionAccess, FunctionOptions, JobAccess, SessionIssuer};
use two_buckets_pipeline::DynProcessor;
use two_buckets_s3_api::{Limits, Listening, Pins, Role, S3Service, Sts, TrustedProxies};

use super::listener::Listener;
use super::strays::RunFolder;
use crate::clock;
use crate::command::{self, Command};
use crate::config::{
    CommandSettings, DEFAULT, DESCRIBE, Environment, FunctionSettings, Origin, Setting, Settings,
};
use crate::describe::Describe;
use crate::failure::Failure;
use crate::function;
#[cfg(feature = "aws")]
use crate::root_key::random_text;
use crate::route::Routes;

/// The time-out of a job that has none: a thousand years.
const FOR_EVER: Duration = Duration::from_hours(1_000 * 365 * 24);

/// The functions that were found, and where they will find S3.
pub(super) struct Found {
    default: Option<lambda::Config>,
    named: BTreeMap<String, lambda::Config>,
    listener: Option<Listener>,
}

/// Functions that run, and the folder that they and commands have theirs in.
pub(super) struct Running {
    functions: Vec<Function>,
    listener: Option<Listener>,
    memory: Option<Memory>,
    folder: RunFolder,
}

/// How the memory of functions is kept within its limit.
#[derive(Debug)]
pub(super) enum Memory {
    /// By the kernel, in a control group for each environment.
    Held,
    /// Its resident size is looked at, for want of a group to divide.
    Watched {
        /// Why there is none.
        why: String,
    },
}

/// The program that enters a control group: this one, also when its file was replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

impl Found {
    /// Finds every function that the settings name. Starts interpreters to ask what they have, so it blocks for a moment.
    pub(super) async fn find(
        settings: &Settings,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let find = |settings_of: &FunctionSettings| {
            function::find(settings_of, settings, environment).map_err(Failure::usage)
        };
        let default = find(&settings.function)?;
        let mut named = BTreeMap::new();
        for (name, processor) in &settings.routes.processors {
            if let Some(config) = find(&processor.function)? {
                named.insert(name.clone(), config);
            }
        }
        // One of their own: it is plain HTTP whatever the others are, it is on this machine only, and it goes on while
        // the others drain, so that a function that runs can finish.
        let listener = if default.is_some() || !named.is_empty() {
            Some(listen(&settings.data.value).await?)
        } else {
            None
        };
        Ok(Self {
            default,
            named,
            listener,
        })
    }

    /// Starts them, and gives what is to run on each file.
    pub(super) fn start(
        mut self,
        own: Arc<dyn DynProcessor>,
        settings: &Settings,
        sts: &Sts,
        role: &Role,
        pins: &Pins,
    ) -> Result<(Routes, Running), Failure> {
        // Another function may have run here before, or none be named now.
        if let Some(listener) = &self.listener {
            remember(&settings.data.value, listener.address());
        }
        let mut folder = RunFolder::make(&settings.data.value.join("scratch"))?;
        if self.listener.is_some() || runs_commands(settings) {
            folder.watch();
        }
        let folder_of = |name: &str| folder.path().join(name);
        let mut functions = Vec::new();
        let endpoint = self
            .listener
            .as_ref()
            .map(|listener| format!("http://{}", listener.address()))
            .unwrap_or_default();
        let (mut cgroups, mut memory) = (None, None);
        if self.listener.is_some() {
            let taken = lambda::Delegated::find().and_then(|it| it.take(THIS_PROGRAM));
            memory = Some(match taken {
                Ok(taken) => {
                    tracing::info!(group = %taken.folder().display(), "the kernel holds the memory of functions");
                    cgroups = Some(taken);
                    Memory::Held
                }
                Err(why) => {
                    tracing::info!("the memory of functions is watched: {why}");
                    Memory::Watched {
                        why: why.to_string(),
                    }
                }
            });
        }
        let issuer = issuer(sts, role, pins, endpoint);
        let mut start = |mut config: lambda::Config, settings_of: &FunctionSettings| {
            config.cgroups.clone_from(&cgroups);
            config.scratch = folder_of(&format!("function-{}", config.name));
            let access = FunctionAccess::Here(issuer.clone());
            let function = function(config, settings_of, settings, access)?;
            functions.push(function.clone());
            Ok::<Arc<dyn DynProcessor>, Failure>(Arc::new(function))
        };
        let routes = routes(own, settings, |name, function, brought| match name {
            None if self.default.is_some() => self
                .default
                .take()
                .map(|it| start(it, function))
                .transpose(),
            Some(name) if self.named.contains_key(name) => self
                .named
                .remove(name)
                .map(|it| start(it, function))
                .transpose(),
            name => {
                let scratch = folder_of(&command_folder(name));
                command(brought, brought.timeout.value, scratch)
            }
        })?;
        let running = Running {
            functions,
            listener: self.listener,
            memory,
            folder,
        };
        Ok((routes, running))
    }
}

/// The file in the data folder with the port at which functions found S3 last.
const PORT_FILE: &str = "functions-port";

/// Listens where the server before this one did, if nobody else does by now: functions of jobs outlive it.
async fn listen(data: &Path) -> Result<Listener, Failure> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let text = std::fs::read_to_string(data.join(PORT_FILE)).unwrap_or_default();
    if let Ok(port) = text.trim().parse()
        && let Ok(listener) = Listener::bind("functions", "function", at(port)).await
    {
        return Ok(listener);
    }
    Listener::bind("functions", "function", at(0)).await
}

fn remember(data: &Path, address: SocketAddr) {
    let path = data.join(PORT_FILE);
    if let Err(error) = std::fs::write(&path, address.port().to_string()) {
        tracing::warn!(%error, "the port of functions was not kept; those of jobs will not find the next server");
    }
}

/// What a job runs on its file: the same, by the same routes, with its files in this folder. Blocks for a moment.
pub(crate) fn in_job(
    own: Arc<dyn DynProcessor>,
    settings: &Settings,
    environment: &Environment,
    scratch: &Path,
    access: &JobAccess,
    session_life_max: Duration,
) -> Result<Routes, Failure> {
    routes(own, settings, |name, function_of, brought| {
        let found = function::find(function_of, settings, environment).map_err(Failure::usage)?;
        let Some(mut config) = found else {
            let timeout = in_job_timeout(&brought.timeout).unwrap_or(FOR_EVER);
            return command(brought, timeout, scratch.join(command_folder(name)));
        };
        config.scratch = scratch
            .join(name.map_or_else(|| "function".to_owned(), |name| format!("function-{name}")));
        config.concurrency = 1;
        // Beyond, its credentials are not good any more.
        config.timeout = in_job_timeout(&function_of.timeout).unwrap_or(session_life_max);
        let access = FunctionAccess::Job(access.clone());
        let function = function(config, function_of, settings, access)?;
        Ok(Some(Arc::new(function)))
    })
}

/// What a worker on AWS runs on each file: the same, by the same routes, but no Lambda functions, and no jobs. Blocks for a
/// moment.
#[cfg(feature = "aws")]
pub(crate) fn in_worker(
    own: Arc<dyn DynProcessor>,
    settings: &Settings,
) -> Result<(Routes, WorkFolder), Failure> {
    let mut folder = WorkFolder(None);
    if runs_commands(settings) {
        let data = &settings.data.value;
        super::folder::make(data)?;
        let name = random_text(FOLDER_NAME_LENGTH, b"abcdefghijklmnopqrstuvwxyz234567")?;
        let outer = data.join("work").join(name);
        let mut run = RunFolder::make(&outer)?;
        run.watch();
        folder = WorkFolder(Some((run, outer)));
    }
    let routes = routes(own, settings, |name, function, brought| {
        if function.function.value.is_some() {
            return Err(Failure::usage(
                "--function runs a Lambda function on this machine, which `work` does not do yet; use --command, \
                 a processor in Rust, or `serve`",
            ));
        }
        match &folder.0 {
            Some((run, _)) => command(
                brought,
                brought.timeout.value,
                run.path().join(command_folder(name)),
            ),
            None => Ok(None),
        }
    })?;
    Ok((routes, folder))
}

/// As long as no other worker of the data folder has it by chance.
#[cfg(feature = "aws")]
const FOLDER_NAME_LENGTH: usize = 16;

/// The folder of a worker's commands, where it runs some. Removed with it; that of a worker that is killed stays.
#[cfg(feature = "aws")]
pub(crate) struct WorkFolder(Option<(RunFolder, PathBuf)>);

#[cfg(feature = "aws")]
impl WorkFolder {
    /// Ends the process and what it runs.
    pub(crate) fn end_all_and_exit(path: Option<&Path>, code: i32) -> ! {
        match path {
            Some(path) => super::strays::end_all_and_exit(path, code),
            None => std::process::exit(code),
        }
    }

    /// Where it is, by which its processes are known.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.0.as_ref().map(|(run, _)| run.path().to_owned())
    }
}

#[cfg(feature = "aws")]
impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let Some((run, outer)) = self.0.take() {
            drop(run);
            if let Err(error) = std::fs::remove_dir_all(&outer) {
                tracing::warn!("{} cannot be removed: {error}", outer.display());
            }
        }
    }
}

/// What was said of the time-out. What is not said is for the server's workers: a job takes as long as it takes.
fn in_job_timeout(timeout: &Setting<Duration>) -> Option<Duration> {
    (timeout.origin != Origin::Default).then_some(timeout.value)
}

/// What makes the credentials of functions.
pub(crate) fn issuer(sts: &Sts, role: &Role, pins: &Pins, endpoint: String) -> SessionIssuer {
    SessionIssuer {
        sts: sts.clone(),
        role_arn: role.arn(),
        session_life_max: role.session_life_max,
        pins: pins.clone(),
        endpoint,
        clock: Arc::new(clock::now),
    }
}

fn function(
    config: lambda::Config,
    settings_of: &FunctionSettings,
    settings: &Settings,
    access: FunctionAccess,
) -> Result<Function, Failure> {
    make(&config.scratch)?;
    Function::start(FunctionOptions {
        lambda: config,
        access,
        archive: settings.archive.value.clone(),
        batch: settings_of.batch.value,
        always_moves: settings_of.moves.value,
        permanent_errors: settings_of.permanent_errors.value.clone(),
    })
    .map_err(|error| Failure::usage(format!("the function cannot be run: {error}")))
}

/// The routes of the settings to what is started for each name; without one it is the default.
fn routes(
    own: Arc<dyn DynProcessor>,
    settings: &Settings,
    mut start: impl FnMut(Option<&str>, &FunctionSettings, &CommandSettings) -> Started,
) -> Result<Routes, Failure> {
    let default = start(None, &settings.function, &settings.command)?;
    let default = default.unwrap_or(own);
    let mut named: Vec<(&str, Arc<dyn DynProcessor>)> = vec![
        (DEFAULT, Arc::clone(&default)),
        (DESCRIBE, Arc::new(Describe)),
    ];
    for (name, processor) in &settings.routes.processors {
        let started = start(Some(name), &processor.function, &processor.command)?;
        named.extend(started.map(|started| (name.as_str(), started)));
    }
    let routes = settings.routes.routes.iter().filter_map(|route| {
        // The settings refuse a route to a name that is not there.
        let (_, processor) = named.iter().find(|(name, _)| **name == route.processor)?;
        Some((route.clone(), Arc::clone(processor)))
    });
    Ok(Routes::new(routes, default))
}

/// What is started; none where nothing is brought.
type Started = Result<Option<Arc<dyn DynProcessor>>, Failure>;

/// The folder of a command's files.
fn command_folder(name: Option<&str>) -> String {
    name.map_or_else(|| "command".to_owned(), |name| format!("command-{name}"))
}

impl Running {
    /// Where functions find S3, if there are some.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(Listener::address)
    }

    /// How their memory is kept within its limit; none where there are no functions.
    pub(super) fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// Those that run, to be looked at.
    pub(super) fn functions(&self) -> Vec<Function> {
        self.functions.clone()
    }

    /// The folder of this run, by which its processes are known.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Serves S3 to them until `unneeded` ends; then ends all of them.
    pub(super) async fn serve(
        self,
        s3: S3Service,
        limits: Limits,
        unneeded: impl Future<Output = ()> + Send,
    ) {
        let functions = self.functions;
        let over = async {
            unneeded.await;
            for function in &functions {
                function.stop().await;
            }
        };
        let begun = begin(&functions);
        match self.listener {
            Some(listener) => {
                let listening = Listening {
                    name: "functions",
                    limits,
                    tls: None,
                    proxies: TrustedProxies::default(),
                };
                // They may need S3 to begin.
                tokio::join!(listener.serve_s3(s3, listening, over), begun);
            }
            None => over.await,
        }
    }
}

/// Starts one environment of each function, so that whoever named a wrong handler or forgot a library reads it now and not
/// with the first file. It then waits for that file; if none comes it is ended as any other that is idle.
async fn begin(functions: &[Function]) {
    for function in functions {
        if let Err(problem) = function.warm_up().await {
            tracing::error!(
                "{problem}; each file given to it will be tried, and set aside when that does not change"
            );
        }
    }
}

fn runs_commands(settings: &Settings) -> bool {
    let named = settings.routes.processors.values().map(|it| &it.command);
    named
        .chain([&settings.command])
        .any(|it| it.command.value.is_some())
}

/// What runs a command, with this folder for the files that it reads by path; none if no command is named.
fn command(command: &CommandSettings, timeout: Duration, scratch: PathBuf) -> Started {
    let Some(program) = command.program().map_err(Failure::usage)? else {
        return Ok(None);
    };
    let variables = command.environment();
    command::look_up(&program, &variables)
        .map_err(|problem| Failure::usage(format!("--command: {problem}")))?;
    let shown = scratch.display().to_string();
    let command = Command::start(command::Settings {
        timeout,
        permanent_exit: command.permanent_exit.value,
        output: command.output.value.clone(),
        variables,
        scratch_bytes_max: command.scratch_bytes_max.value,
        stdout_bytes_max: command.stdout_bytes_max.value,
        ..command::Settings::new(program, scratch)
    })
    .map_err(|error| Failure::failed(format!("the scratch folder {shown}: {error}")))?;
    Ok(Some(Arc::new(command)))
}

/// Makes the folder that the function's environments have theirs in.
fn make(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::failed(format!(
            "the folder {} for what functions write cannot be made: {error}",
            folder.display()
        ))
    })
}
