//! What can be typed, as clap reads it. What it means is [`meaning`](super::meaning)'s affair; nothing here does any work.

use std::ffi::OsString;
use std::path::PathBuf;

/// Files come in, a function runs on each, and they are kept.
///
/// Without a command, the server starts.
#[derive(clap::Parser, Debug)]
#[command(name = "two-buckets", version, disable_help_subcommand = true)]
pub(crate) struct Typed {
    #[command(flatten)]
    pub(crate) everywhere: EverywhereFlags,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
    #[command(subcommand)]
    pub(crate) command: Option<TypedCommand>,
}

/// The flags that every command takes.
#[derive(clap::Args, Debug, Default, Clone)]
pub(crate) struct EverywhereFlags {
    /// The data folder; it holds all files and how to reach a running server
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<OsString>,
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<OsString>,
    /// A deployment on AWS, by the name of its stack: commands speak to it instead of a server, with the credentials and
    /// the region of the environment or profile. `work` and jobs write figures for CloudWatch in its name
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) stack: Option<OsString>,
    /// How to write logs: text or json
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<OsString>,
    /// What to log, such as info, debug or `two_buckets=debug,warn`
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<OsString>,
}

/// The flags of the server.
#[derive(clap::Args, Debug, Default, Clone)]
pub(crate) struct ServeFlags {
    /// Where S3 listens; port 0 takes a free one. Beyond loopback it needs TLS here or in a proxy
    #[arg(long, value_name = "ADDR")]
    pub(crate) s3: Option<OsString>,
    /// Where the page and its API listen; port 0 takes a free one. Beyond loopback it needs callers and TLS
    #[arg(long, value_name = "ADDR")]
    pub(crate) web: Option<OsString>,
    #[command(flatten)]
    pub(crate) reach: ReachFlags,
    #[command(flatten)]
    pub(crate) callers: CallerFlags,
    #[command(flatten)]
    pub(crate) function: FunctionFlags,
    #[command(flatten)]
    pub(crate) command: CommandFlags,
    #[command(flatten)]
    pub(crate) job: JobFlags,
    /// The bucket that files come into
    #[arg(long, value_name = "NAME")]
    pub(crate) staging: Option<OsString>,
    /// The bucket that keeps them
    #[arg(long, value_name = "NAME")]
    pub(crate) archive: Option<OsString>,
    /// The region that S3 says it is
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<OsString>,
    /// How many files are processed at once [default: twice the processors; 32 for the built-in description]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<OsString>,
    /// How often a file is tried before it is set aside as failed
    #[arg(long, value_name = "N")]
    pub(crate) max_attempts: Option<OsString>,
    /// Seconds between sweeps of the staging bucket
    #[arg(long, value_name = "SECONDS")]
    pub(crate) sweep_interval_s: Option<OsString>,
    /// Seconds that a file just archived can still be read from staging
    #[arg(long, value_name = "SECONDS")]
    pub(crate) just_moved_grace_s: Option<OsString>,
    /// Days after which the parts of an upload that nobody completed are removed
    #[arg(long, value_name = "DAYS")]
    pub(crate) abort_incomplete_days: Option<OsString>,
    /// Rules by which S3 and its events misbehave here on purpose, to test what stands that: see docs/faults.md
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<OsString>,
    /// Days after which an upload that has ended well is forgotten; its file stays [default: 90]
    #[arg(long, value_name = "DAYS")]
    pub(crate) history_days: Option<OsString>,
    /// How many uploads that have ended well are remembered; failed ones stay until they are retried [default: 1000000]
    #[arg(long, value_name = "N")]
    pub(crate) history_max: Option<OsString>,
}

/// The flags that say how the server is reached.
#[derive(clap::Args, Debug, Default, Clone)]
#[command(next_help_heading = "Reached from other machines")]
pub(crate) struct ReachFlags {
    /// Where clients find S3, if not at --s3: signed URLs name it, and names below it are buckets
    #[arg(long, value_name = "URL")]
    pub(crate) s3_url: Option<OsString>,
    /// Where clients find the page, if not at --web
    #[arg(long, value_name = "URL")]
    pub(crate) web_url: Option<OsString>,
    /// The certificate for both listeners, as PEM with its chain; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<OsString>,
    /// Its private key, as PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<OsString>,
    /// The address or network of a proxy in front that has TLS: its X-Forwarded-For and -Proto are believed; repeat
    /// for more. It must pass Host on
    #[arg(long, value_name = "ADDR")]
    pub(crate) behind_proxy: Vec<OsString>,
    /// A page, beside our own, whose script may call the API with a token; repeat for more
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<OsString>,
    /// The most connections of one client address to a listener [default: 128; 1024 on loopback]
    #[arg(long, value_name = "N")]
    pub(crate) connections_per_client: Option<OsString>,
}

/// The flags that say who may call. With either of the first two nobody else may, on loopback as well.
#[derive(clap::Args, Debug, Default, Clone)]
#[command(
    next_help_heading = "Callers (with --token-file or --oidc-issuer only they may call, on loopback too)"
)]
pub(crate) struct CallerFlags {
    /// The callers who have a token of their own: TOML with a `[[caller]]` for each, of `name`, `token` or `sha256`, and
    /// perhaps `prefix`, `may_steer`, `size_bytes_max`, `types`, `uploads_per_minute`; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<OsString>,
    /// Whose signed tokens (JWT) are believed: the exact "iss"
    #[arg(long, value_name = "URL")]
    pub(crate) oidc_issuer: Option<OsString>,
    /// Whom they must be for: the exact "aud"
    #[arg(long, value_name = "NAME")]
    pub(crate) oidc_audience: Option<OsString>,
    /// Where the issuer's keys are, if not where its discovery document says
    #[arg(long, value_name = "URL")]
    pub(crate) oidc_jwks_url: Option<OsString>,
    /// How they may be signed, with commas between [default: RS256,PS256,ES256,EdDSA]
    #[arg(long, value_name = "NAMES")]
    pub(crate) oidc_algorithms: Option<OsString>,
    /// The claim with the prefix that all keys of a caller begin with; a token without it is refused
    #[arg(long, value_name = "CLAIM")]
    pub(crate) oidc_prefix_claim: Option<OsString>,
    /// What makes an administrator, as roles=files-admin or /realm_access/roles=files-admin
    #[arg(long, value_name = "CLAIM=VALUE")]
    pub(crate) oidc_admin_claim: Option<OsString>,
    /// How many calls a minute one caller may make [default: 6000]
    #[arg(long, value_name = "N")]
    pub(crate) requests_per_minute: Option<OsString>,
    /// The largest file a known caller may send, in bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) upload_size_max: Option<OsString>,
    /// The media types a known caller may send, as image/*,text/csv
    #[arg(long, value_name = "TYPES")]
    pub(crate) upload_types: Option<OsString>,
    /// How many uploads a minute a known caller may begin
    #[arg(long, value_name = "N")]
    pub(crate) uploads_per_minute: Option<OsString>,
}

/// The flags that say what runs on each file.
#[derive(clap::Args, Debug, Default, Clone)]
#[command(next_help_heading = "The function that runs on each file")]
pub(crate) struct FunctionFlags {
    /// A Lambda function: a file of Python or JavaScript, file.function, a program (bootstrap), a folder or a zip
    #[arg(long, value_name = "SPEC")]
    pub(crate) function: Option<OsString>,
    /// What is called, as file.function, where it is not found by itself
    #[arg(long, value_name = "HANDLER")]
    pub(crate) function_handler: Option<OsString>,
    /// A variable of the function's environment; repeat for more
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) function_env: Vec<OsString>,
    /// The longest that one invocation may take [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) function_timeout_s: Option<OsString>,
    /// The memory of one execution environment [default: 512]
    #[arg(long, value_name = "MIB")]
    pub(crate) function_memory_mib: Option<OsString>,
    /// What one execution environment may write into its scratch folder [default: 512]
    #[arg(long, value_name = "MIB")]
    pub(crate) function_scratch_mib: Option<OsString>,
    /// How many execution environments there may be [default: as many as workers]
    #[arg(long, value_name = "N")]
    pub(crate) function_concurrency: Option<OsString>,
    /// How many files one invocation may be given; they share its answer and log [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) function_batch: Option<OsString>,
    /// The function always moves its file to the archive itself: not having done so is a failure
    #[arg(long)]
    pub(crate) function_moves: bool,
    /// Types of errors that do not pass by trying again, as `ValueError`; repeat for more
    #[arg(long, value_name = "TYPE")]
    pub(crate) function_permanent_errors: Vec<OsString>,
    /// The Python to run it with [default: a virtual environment's, or python3]
    #[arg(long, value_name = "FILE")]
    pub(crate) function_python: Option<OsString>,
}

/// The flags that bring a program to run on each file.
#[derive(clap::Args, Debug, Default, Clone)]
#[command(next_help_heading = "A program of your own for each file")]
pub(crate) struct CommandFlags {
    /// The program and its arguments, split as a shell would but run without one. The file is on its standard input, or
    /// where {path} stands as a file; facts are in its environment as `TWO_BUCKETS_KEY` and so on. Exit code 0 accepts
    /// the file; standard output is the report, standard error the log
    #[arg(long, value_name = "PROGRAM ARGS")]
    pub(crate) command: Option<OsString>,
    /// Take --command as a script for /bin/sh. It reads the file from `"$TWO_BUCKETS_PATH"` if it speaks of that
    #[arg(long)]
    pub(crate) shell: bool,
    /// Seconds after which it is stopped with all its children, and the file tried again later [default: 900]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) command_timeout_s: Option<OsString>,
    /// The exit code by which it says that a file cannot be processed; others but 0 mean: again later [default: 65, `EX_DATAERR`]
    #[arg(long, value_name = "CODE")]
    pub(crate) command_permanent_exit: Option<OsString>,
    /// Keep its standard output under this name beside the file, as `_results/KEY/VERSION/still.jpg`, instead of taking
    /// it for the report. Without a type: application/octet-stream
    #[arg(long, value_name = "NAME[:TYPE]")]
    pub(crate) command_output: Option<OsString>,
    /// A variable to pass on, by NAME, or to set, by NAME=VALUE; repeat for more. PATH, HOME, LANG and TMPDIR are passed on
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) command_env: Vec<OsString>,
    /// How many MiB the files for {path} may take together [default: 10240]
    #[arg(long, value_name = "MIB")]
    pub(crate) command_scratch_mib: Option<OsString>,
    /// How many MiB it may write on standard output [default: 1024]
    #[arg(long, value_name = "MIB")]
    pub(crate) command_stdout_mib: Option<OsString>,
}

/// The flags of jobs.
#[derive(clap::Args, Debug, Default, Clone)]
#[command(
    next_help_heading = "Jobs: files that are too big or too slow, each in a process of its own"
)]
#[expect(clippy::struct_field_names, reason = "they are what is typed")]
pub(crate) struct JobFlags {
    /// Make jobs of all files of at least this size; routes with `as = "job"` make them of others
    #[arg(long, value_name = "BYTES")]
    pub(crate) job_from_bytes: Option<OsString>,
    /// How many jobs run at once [default: 2]
    #[arg(long, value_name = "N")]
    pub(crate) job_concurrency: Option<OsString>,
    /// The nice level of jobs [default: 10]
    #[arg(long, value_name = "N")]
    pub(crate) job_nice: Option<OsString>,
    /// The memory that one job may have resident [default: any]
    #[arg(long, value_name = "MIB")]
    pub(crate) job_memory_mib: Option<OsString>,
    /// The longest that one job may run [default: as long as it takes]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) job_timeout_s: Option<OsString>,
}

/// The flags that name the parts of a deployment on AWS one by one.
#[derive(clap::Args, Debug, Default, Clone)]
#[command(next_help_heading = "A deployment on AWS whose stack does not say where these are")]
pub(crate) struct PartsFlags {
    /// The bucket that files come into
    #[arg(long, value_name = "NAME")]
    pub(crate) staging: Option<OsString>,
    /// The bucket that keeps them
    #[arg(long, value_name = "NAME")]
    pub(crate) archive: Option<OsString>,
    /// The DynamoDB table of the ledger
    #[arg(long, value_name = "NAME")]
    pub(crate) ledger_table: Option<OsString>,
    /// How many parts a ledger gets that nobody has used yet [default: the stack's, or 8]
    #[arg(long, value_name = "N")]
    pub(crate) ledger_shards: Option<OsString>,
    /// The SQS queue of wake-ups
    #[arg(long, value_name = "URL")]
    pub(crate) queue_url: Option<OsString>,
    /// The AWS region, instead of `AWS_REGION` or the profile's
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<OsString>,
}

/// The flags of a command that speaks to a server or to a deployment on AWS.
#[derive(clap::Args, Debug)]
pub(crate) struct Speaking<T: clap::Args> {
    #[command(flatten)]
    pub(crate) own: T,
    #[command(flatten)]
    pub(crate) parts: Box<PartsFlags>,
}

/// The flags of a worker on AWS.
#[derive(clap::Args, Debug, Default, Clone)]
pub(crate) struct WorkFlags {
    #[command(flatten)]
    pub(crate) parts: PartsFlags,
    /// A Lambda function that is invoked with each file, in the place of --command or this program's own
    #[arg(long, value_name = "ARN")]
    pub(crate) function_arn: Option<OsString>,
    /// The role of the credentials that it is given for each file, narrowed to that file
    #[arg(long, value_name = "ARN")]
    pub(crate) function_role_arn: Option<OsString>,
    /// The key of KMS that both buckets are encrypted with, so that those credentials may use it
    #[arg(long, value_name = "ARN")]
    pub(crate) kms_key_arn: Option<OsString>,
    /// The queue of Batch that jobs are submitted to
    #[arg(long, value_name = "NAME OR ARN")]
    pub(crate) job_queue: Option<OsString>,
    /// The definition of Batch that is submitted, with its revision
    #[arg(long, value_name = "NAME OR ARN")]
    pub(crate) job_definition: Option<OsString>,
    /// Make jobs of all files of at least this size; routes with `as = "job"` make them of others
    #[arg(long, value_name = "BYTES")]
    pub(crate) job_from_bytes: Option<OsString>,
    /// Copy larger files in parts; 5 MiB to 5 GiB [default: 5 GiB, the most that S3 copies at once]
    #[arg(long, value_name = "BYTES")]
    pub(crate) single_copy_bytes_max: Option<OsString>,
    /// `false` for a store that ignores conditions on copies; S3 honours them [default: true]
    #[arg(long, value_name = "TRUTH")]
    pub(crate) conditional_copy: Option<OsString>,
    /// How many files are processed at once
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<OsString>,
    /// How often a file is tried before it is set aside as failed
    #[arg(long, value_name = "N")]
    pub(crate) max_attempts: Option<OsString>,
    /// Seconds between sweeps of the staging bucket [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) sweep_interval_s: Option<OsString>,
    /// Days after which an upload that has ended well is forgotten; its file stays [default: 90]
    #[arg(long, value_name = "DAYS")]
    pub(crate) history_days: Option<OsString>,
    #[command(flatten)]
    pub(crate) command: CommandFlags,
}

/// The commands.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum TypedCommand {
    /// Start the server (what happens without a command)
    Serve(Box<ServeFlags>),
    /// Process and archive the files of a deployment on AWS, from here: S3, SQS and DynamoDB, with the region and the
    /// credentials of the environment or profile
    Work(Box<WorkFlags>),
    /// Upload files and folders
    Put(Speaking<PutFlags>),
    /// Show what became of uploads, the newest first
    Status(Speaking<StatusFlags>),
    /// Show what the function wrote about an upload, attempt by attempt
    Logs(Speaking<LogsFlags>),
    /// Make failed uploads pending again
    Retry(Speaking<RetryFlags>),
    /// Process again what is archived: copy it to staging, each a new upload; the archive keeps what it has
    Replay(Speaking<ReplayFlags>),
    /// Cancel jobs that have not ended: their files stay in staging, failed, and can be retried
    Cancel(Speaking<CancelFlags>),
    /// Process nothing new until `resume`: uploads go on and wait, and what is in work ends
    Pause(Speaking<PauseFlags>),
    /// Process what waits, and what comes
    Resume(Speaking<OutputFlags>),
    /// Look through the staging bucket now, and wake whatever has something to do
    Sweep(Speaking<OutputFlags>),
    /// Look whether everything that files depend on is as it must be, and say what to do where it is not
    Doctor(Speaking<DoctorFlags>),
    /// Show which faults are switched on and how often each has struck, or switch them
    Faults {
        #[command(flatten)]
        output: OutputFlags,
        #[command(subcommand)]
        change: Option<FaultsCommand>,
    },
    /// Run the job of one file here and now. A server starts these itself, and so does Batch on AWS, in whose
    /// containers it stands in the environment which file it is
    Job {
        /// The file's key in staging
        #[arg(long, conflicts_with = "key_hex")]
        key: Option<String>,
        /// The same in hexadecimal
        #[arg(long, value_name = "HEX", hide = true)]
        key_hex: Option<String>,
        /// Its version there
        #[arg(long, value_name = "ID")]
        version: Option<String>,
        #[command(flatten)]
        serve: Box<ServeFlags>,
    },
    /// Print the shell exports that point AWS tools at this server: eval "$(two-buckets env)"
    Env(OutputFlags),
    /// Print each setting with its value and where it comes from
    Config {
        #[command(flatten)]
        serve: Box<ServeFlags>,
        #[command(flatten)]
        output: OutputFlags,
        #[command(subcommand)]
        check: Option<ConfigCommand>,
    },
}

/// The commands of `faults`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum FaultsCommand {
    /// Put the rules of a file in the place of those that are on
    Set {
        /// The rules, in TOML or JSON
        file: PathBuf,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// Switch all faults off
    Off(OutputFlags),
}

/// The commands of `config`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Check the settings, and say which route takes a file and why no other does
    Check(CheckFlags),
}

/// The flags of `config check`.
#[derive(clap::Args, Debug)]
pub(crate) struct CheckFlags {
    /// The file's key
    pub(crate) key: String,
    /// Its media type, as an uploader would name it
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) media_type: Option<String>,
    /// Its size
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) size: u64,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

/// How to print.
#[derive(clap::Args, Debug, Clone, Copy)]
pub(crate) struct OutputFlags {
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flags of `put`.
#[derive(clap::Args, Debug)]
pub(crate) struct PutFlags {
    /// Files, folders, or - for standard input
    ///
    /// A file gets a new key made for it, so that nothing is overwritten. A folder's files, hidden ones too, go under
    /// its name and their path in it; symbolic links in it are not followed.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The key to upload the one file under, instead of a new one made for it
    #[arg(long, value_name = "KEY", conflicts_with = "prefix")]
    pub(crate) key: Option<String>,
    /// Upload each file under this prefix and its own name, instead of a new key made for it
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// What the one file is called, instead of its own name; for standard input, which has none
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    pub(crate) name: Option<String>,
    /// The media type to keep with the files, such as image/jpeg
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) media_type: Option<String>,
    /// How many files are uploaded at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) parallel: u8,
    /// Begin large files anew, and leave nothing to go on with later
    #[arg(long)]
    pub(crate) no_resume: bool,
    /// How long to try again while the server cannot be reached or is busy
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub(crate) retry_for: u32,
    /// Wait until every file is archived; exit with 1 if one fails
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print JSON, for programs: one object a line for each file, as soon as it is done
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flags of `status`.
#[derive(clap::Args, Debug)]
pub(crate) struct StatusFlags {
    /// Only uploads of this key
    pub(crate) key: Option<String>,
    /// Only uploads in this state: pending, processing, archived, failed, late or duplicate
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// The most uploads to show
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

/// The flags of `logs`.
#[derive(clap::Args, Debug)]
pub(crate) struct LogsFlags {
    /// The key, of which the latest upload is meant, or an upload's id
    #[arg(required_unless_present = "id", conflicts_with = "id")]
    pub(crate) key: Option<String>,
    /// The upload's id, as `status --json` shows it
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Only this attempt
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempt: Option<u32>,
    /// Show what is written from now on as well, until the upload is archived or has failed
    #[arg(long, short)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

/// The flags of `cancel`.
#[derive(clap::Args, Debug)]
pub(crate) struct CancelFlags {
    /// The key, of which every unfinished job is meant, or an upload's id
    #[arg(required_unless_present = "id", conflicts_with = "id")]
    pub(crate) key: Option<String>,
    /// The upload's id, as `status --json` shows it
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

/// The flags of `replay`.
#[derive(clap::Args, Debug)]
pub(crate) struct ReplayFlags {
    /// Replay the current version of every key that begins with this; '' for everything. With --version, the one key
    pub(crate) prefix: String,
    /// Only what was archived since then: 2026-11-23T10:50:50Z, or 90s, 45m, 2h or 3d ago
    #[arg(long, value_name = "TIME", conflicts_with = "version")]
    pub(crate) since: Option<String>,
    /// Exactly this version in the archive, current or not
    #[arg(long, value_name = "ID", conflicts_with = "anew")]
    pub(crate) version: Option<String>,
    /// Begin anew where a replay of this prefix was interrupted, instead of going on with it
    #[arg(long)]
    pub(crate) anew: bool,
    /// Only say how much it would be
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

/// The flags of `doctor`.
#[derive(clap::Args, Debug)]
pub(crate) struct DoctorFlags {
    /// Write nothing: do not try what the archive's store does, with a few bytes below `_results/`
    #[arg(long)]
    pub(crate) no_probe: bool,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

/// The flags of `pause`.
#[derive(clap::Args, Debug)]
pub(crate) struct PauseFlags {
    /// Why, for whoever looks at `status` or the page
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

/// The flags of `retry`.
#[derive(clap::Args, Debug)]
#[group(id = "which", required = true, multiple = false, args = ["key", "all", "reason"])]
pub(crate) struct RetryFlags {
    /// Retry the failed uploads of this key
    pub(crate) key: Option<String>,
    /// Retry all failed uploads
    #[arg(long)]
    pub(crate) all: bool,
    /// Retry those whose reason has this text in it, letter for letter; * in it stands for any text
    #[arg(long, value_name = "PATTERN")]
    pub(crate) reason: Option<String>,
    /// Only say how many these are
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}
