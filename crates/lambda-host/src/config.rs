//! What one function needs to run, checked once.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cgroup::Cgroups;
use crate::environment_id::EnvironmentId;
use crate::variables;

/// Makes the variables of one environment before it starts, such as its credentials.
///
/// Called once per environment, on a thread that may not block for long. An error keeps the environment from starting
/// and becomes [`Failure::NotStarted`](crate::Failure::NotStarted) with these words. The variables win over all others and
/// may set what the user's may not: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_EXECUTION_ENV`.
pub type NewEnvironment =
    Arc<dyn Fn(&EnvironmentId) -> Result<Vec<(OsString, OsString)>, String> + Send + Sync>;

/// Told once for every environment that [`NewEnvironment`] made variables for, after its last process is gone.
pub type EnvironmentEnded = Arc<dyn Fn(&EnvironmentId) + Send + Sync>;

/// How to run one function. Nothing is checked until [`Host::start`](crate::Host::start) or [`Config::check`].
#[derive(Clone)]
pub struct Config {
    /// The function's name: `AWS_LAMBDA_FUNCTION_NAME`, and the last part of its ARN. Letters, digits, `-` and `_`; at most 64.
    pub name: String,
    /// `AWS_REGION`, and part of the ARN. Lower-case letters, digits and `-`.
    pub region: String,
    /// The runtime: program and arguments, started directly and not by a shell. A relative program is looked for in
    /// `folder` when it contains a `/`, else on the environment's `PATH`.
    pub command: Vec<OsString>,
    /// Where the function's code is: `LAMBDA_TASK_ROOT` and the working directory.
    pub folder: PathBuf,
    /// `_HANDLER`, such as `index.handler`.
    pub handler: String,
    /// The user's own variables. Those that Lambda reserves are refused; the server's own are not inherited.
    pub variables: Vec<(OsString, OsString)>,
    /// How many invocations may run at the same time, each in an environment of its own. At least 1.
    pub concurrency: usize,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`: the memory of an environment, all its processes together, in MiB. 128 to 10,240 as on Lambda.
    pub memory_mib: u32,
    /// Where each environment gets a control group of its own, in which the kernel keeps it within its memory, page cache
    /// included, and in which none of its processes can hide. With none, what its processes have resident is looked at ten
    /// times a second, so it may be passed for a moment.
    pub cgroups: Option<Cgroups>,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// How long an environment may take from its start until it first asks for an invocation.
    pub init_timeout: Duration,
    /// How long the processes of an environment have between SIGTERM and SIGKILL. May be zero.
    pub kill_after: Duration,
    /// After how long without an invocation an environment ends.
    pub idle_timeout: Duration,
    /// After how many invocations an environment ends. At least 1.
    pub recycle_after: u32,
    /// At what age an environment takes no more invocations; one that runs is left to finish.
    pub life_max: Duration,
    /// An existing folder of this host's alone, in which each environment gets one of its own (as `TMPDIR`), removed with all
    /// its content when it ends.
    pub scratch: PathBuf,
    /// How many bytes the files in that folder may take up on the disk before the environment is ended. Looked at several times a second, so it may be passed for a moment.
    pub scratch_bytes_max: u64,
    /// How many bytes of stdout and stderr together are passed on for one invocation; the rest is counted and dropped.
    pub log_bytes_max: usize,
    /// Makes the variables of one environment.
    pub new_environment: NewEnvironment,
    /// Told when an environment has ended.
    pub environment_ended: EnvironmentEnded,
}

/// What is wrong with a [`Config`]: every problem, in words, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    problems: Vec<String>,
}

impl InvalidConfig {
    /// Every problem, never empty.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.problems.join("; "))
    }
}

impl std::error::Error for InvalidConfig {}

/// The memory that a Lambda function may have, in MiB.
const MEMORY_MIB: std::ops::RangeInclusive<u32> = 128..=10_240;

impl Config {
    /// All that is wrong, at once. Looks at the disk for the two folders.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let mut problems = Vec::new();
        let mut unless = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        unless(
            is_word(&self.name, |it| {
                it.is_ascii_alphanumeric() || matches!(it, '-' | '_')
            }),
            format!(
                "the function's name {:?} must be 1 to 64 letters, digits, - or _",
                self.name
            ),
        );
        unless(
            is_word(&self.region, |it| {
                it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-'
            }),
            format!(
                "the region {:?} must be 1 to 64 lower-case letters, digits or -",
                self.region
            ),
        );
        unless(
            self.command
                .first()
                .is_some_and(|program| !program.is_empty()),
            "there is no command to start the runtime with".to_owned(),
        );
        unless(
            !self.handler.contains('\0'),
            "the handler's name contains a NUL".to_owned(),
        );
        for (folder, what) in [
            (&self.folder, "the function's"),
            (&self.scratch, "the scratch"),
        ] {
            unless(
                folder.is_dir(),
                format!("{what} folder {} is no folder", folder.display()),
            );
        }
        unless(
            MEMORY_MIB.contains(&self.memory_mib),
            format!(
                "the memory of {} MiB must be 128 to 10240 MiB, as on Lambda",
                self.memory_mib
            ),
        );
        unless(
            self.concurrency >= 1,
            "the concurrency must be at least 1".to_owned(),
        );
        unless(
            self.concurrency <= CONCURRENCY_MAX,
            format!("the concurrency must be at most {CONCURRENCY_MAX}"),
        );
        unless(
            self.recycle_after >= 1,
            "an environment must take at least 1 invocation".to_owned(),
        );
        for (time, what) in [
            (self.timeout, "time-out"),
            (self.init_timeout, "time-out of the start"),
            (self.idle_timeout, "idle time-out"),
            (self.life_max, "life of an environment"),
        ] {
            unless(!time.is_zero(), format!("the {what} must not be zero"));
        }
        unless(
            self.scratch_bytes_max > 0,
            "the scratch folder must be allowed at least one byte".to_owned(),
        );
        problems.extend(variables::problems(&self.variables));
        if problems.is_empty() {
            Ok(())
        } else {
            Err(InvalidConfig { problems })
        }
    }

    /// `arn:aws:lambda:{region}:000000000000:function:{name}`, which the runtime is told with each invocation.
    pub fn function_arn(&self) -> String {
        format!(
            "arn:aws:lambda:{}:000000000000:function:{}",
            self.region, self.name
        )
    }
}

/// Lambda's own bound is 1,000 per region; each is a process of this machine here.
const CONCURRENCY_MAX: usize = 1_000;

fn is_word(word: &str, is_allowed: impl Fn(char) -> bool) -> bool {
    (1..=64).contains(&word.len()) && word.chars().all(is_allowed)
}

/// Without the variables' values, which may be secret.
impl fmt::Debug for Config {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        to.debug_struct("Config")
            .field("name", &self.name)
            .field("command", &self.command)
            .field("folder", &self.folder)
            .field("handler", &self.handler)
            .field("variables", &names)
            .finish_non_exhaustive()
    }
}
