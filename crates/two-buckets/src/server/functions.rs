//! What runs on each file: the processor that the program was built around, or what the settings bring instead, by
//! routes where there are some. Functions get a listener of their own here.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use two_buckets_lambda_host as lambda;
use two_buckets_local::{Function, FunctionOptions};
use two_buckets_pipeline::{DynProcessor, Processor};
use two_buckets_s3_api::{Limits, Listening, Pins, Role, S3Service, Sts, TrustedProxies};

use super::listener::Listener;
use super::strays::RunFolder;
use crate::clock;
use crate::command::{self, Command};
use crate::config::{CommandSettings, DEFAULT, DESCRIBE, Environment, FunctionSettings, Settings};
use crate::describe::Describe;
use crate::failure::Failure;
use crate::function;
use crate::route::Routes;

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
    folder: RunFolder,
}

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
            let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            Some(Listener::bind("functions", "function", free).await?)
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
        own: impl Processor,
        settings: &Settings,
        sts: &Sts,
        role: &Role,
        pins: &Pins,
    ) -> Result<(Routes, Running), Failure> {
        // Another function may have run here before, or none be named now.
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
        let mut start = |mut config: lambda::Config, settings_of: &FunctionSettings| {
            config.scratch = folder_of(&format!("function-{}", config.name));
            make(&config.scratch)?;
            let function = Function::start(FunctionOptions {
                lambda: config,
                sts: sts.clone(),
                role_arn: role.arn(),
                session_life_max: role.session_life_max,
                pins: pins.clone(),
                endpoint: endpoint.clone(),
                archive: settings.archive.value.clone(),
                batch: settings_of.batch.value,
                always_moves: settings_of.moves.value,
                permanent_errors: settings_of.permanent_errors.value.clone(),
                clock: Arc::new(clock::now),
            })
            .map_err(|error| Failure::usage(format!("the function cannot be run: {error}")))?;
            functions.push(function.clone());
            Ok::<Arc<dyn DynProcessor>, Failure>(Arc::new(function))
        };
        let default: Arc<dyn DynProcessor> = match self.default {
            Some(config) => start(config, &settings.function)?,
            None => match command(&settings.command, folder_of("command"))? {
                Some(command) => command,
                None => Arc::new(own),
            },
        };
        let mut named: Vec<(&str, Arc<dyn DynProcessor>)> = vec![
            (DEFAULT, Arc::clone(&default)),
            (DESCRIBE, Arc::new(Describe)),
        ];
        for (name, processor) in &settings.routes.processors {
            let started = match self.named.remove(name) {
                Some(config) => Some(start(config, &processor.function)?),
                None => command(&processor.command, folder_of(&format!("command-{name}")))?,
            };
            named.extend(started.map(|started| (name.as_str(), started)));
        }
        let routes = settings.routes.routes.iter().filter_map(|route| {
            // The settings refuse a route to a name that is not there.
            let (_, processor) = named.iter().find(|(name, _)| **name == route.processor)?;
            Some((route.clone(), Arc::clone(processor)))
        });
        let routes = Routes::new(routes, default);
        let running = Running {
            functions,
            listener: self.listener,
            folder,
        };
        Ok((routes, running))
    }
}

impl Running {
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

/// What runs a command, with a folder for the files that it reads by path; none if no command is named.
fn command(
    command: &CommandSettings,
    scratch: PathBuf,
) -> Result<Option<Arc<dyn DynProcessor>>, Failure> {
    let Some(program) = command.program().map_err(Failure::usage)? else {
        return Ok(None);
    };
    let variables = command.environment();
    command::look_up(&program, &variables)
        .map_err(|problem| Failure::usage(format!("--command: {problem}")))?;
    let shown = scratch.display().to_string();
    let command = Command::start(command::Settings {
        timeout: command.timeout.value,
        permanent_exit: command.permanent_exit.value,
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
