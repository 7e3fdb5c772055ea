//! Where a deployment on AWS has its parts. Region and credentials are found as by every AWS tool.

use super::{Origin, Setting, Sources, number, optional, optional_row};

/// The most parts of a ledger.
const SHARDS_MAX: u8 = 99;
/// The longest name of a stack (CloudFormation API, `CreateStack`).
const STACK_NAME_MAX: usize = 128;
/// The longest name of a table (DynamoDB API, `CreateTable`).
const TABLE_NAME_MAX: usize = 255;

/// The longest name of a queue or definition of Batch, with its revision (Batch API, `RegisterJobDefinition`).
const JOB_NAME_MAX: usize = 139;

/// Where a deployment has its parts; only for commands on AWS.
#[derive(Debug)]
pub(crate) struct AwsSettings {
    /// The deployment's name, for figures; none for no figures.
    pub(crate) stack: Setting<Option<String>>,
    /// The table of the ledger.
    pub(crate) ledger_table: Setting<Option<String>>,
    /// How many parts a ledger gets that nobody has used yet; none for as many as usual.
    pub(crate) ledger_shards: Setting<Option<u8>>,
    /// The queue of wake-ups.
    pub(crate) queue_url: Setting<Option<String>>,
    /// A function of the user's on Lambda, which is invoked with each file.
    pub(crate) function_arn: Setting<Option<String>>,
    /// The role that its credentials are of.
    pub(crate) function_role_arn: Setting<Option<String>>,
    /// The key that both buckets are encrypted with.
    pub(crate) kms_key_arn: Setting<Option<String>>,
    /// The queue of Batch that jobs are submitted to.
    pub(crate) job_queue: Setting<Option<String>>,
    /// What is submitted.
    pub(crate) job_definition: Setting<Option<String>>,
}

impl AwsSettings {
    pub(super) fn of(sources: &mut Sources<'_>) -> Option<Self> {
        let stack = sources.setting(
            "stack",
            optional(|text| name(text, STACK_NAME_MAX, "-")),
            Some(None),
        );
        let ledger_table = sources.setting(
            "ledger-table",
            optional(|text| name(text, TABLE_NAME_MAX, "-_.")),
            Some(None),
        );
        let ledger_shards = sources.setting(
            "ledger-shards",
            |text| number(text, 1, SHARDS_MAX).map(Some),
            Some(None),
        );
        let queue_url = sources.setting("queue-url", optional(queue_url), Some(None));
        let function_arn =
            sources.setting("function-arn", optional(|it| arn(it, "lambda")), Some(None));
        let function_role_arn = sources.setting(
            "function-role-arn",
            optional(|it| arn(it, "iam")),
            Some(None),
        );
        let kms_key_arn = sources.setting("kms-key-arn", optional(|it| arn(it, "kms")), Some(None));
        let job_queue = sources.setting("job-queue", optional(name_or_arn), Some(None));
        let job_definition = sources.setting("job-definition", optional(name_or_arn), Some(None));
        let settings = Self {
            stack: stack?,
            ledger_table: ledger_table?,
            ledger_shards: ledger_shards?,
            queue_url: queue_url?,
            function_arn: function_arn?,
            function_role_arn: function_role_arn?,
            kms_key_arn: kms_key_arn?,
            job_queue: job_queue?,
            job_definition: job_definition?,
        };
        if settings.job_queue.value.is_some() != settings.job_definition.value.is_some() {
            sources.problem("job-queue and job-definition go together".to_owned());
        }
        if settings.function_role_arn.value.is_some() && settings.function_arn.value.is_none() {
            sources.problem(
                "function-role-arn is for the function that function-arn names".to_owned(),
            );
        }
        Some(settings)
    }

    /// Whether somebody named a deployment or a part that only one on AWS has, by flag, or also otherwise.
    pub(super) fn are_named(&self, is_typed_only: bool) -> bool {
        let named = |origin: &Origin| match origin {
            Origin::Flag(_) => true,
            Origin::Default => false,
            Origin::Environment(_) | Origin::File(_) => !is_typed_only,
        };
        named(&self.stack.origin)
            || named(&self.ledger_table.origin)
            || named(&self.queue_url.origin)
    }

    /// Each setting as name, value and origin.
    pub(super) fn rows(&self) -> Vec<(&'static str, String, &Origin)> {
        vec![
            optional_row("stack", &self.stack, String::clone),
            optional_row("ledger-table", &self.ledger_table, String::clone),
            optional_row("ledger-shards", &self.ledger_shards, u8::to_string),
            optional_row("queue-url", &self.queue_url, String::clone),
            optional_row("function-arn", &self.function_arn, String::clone),
            optional_row("function-role-arn", &self.function_role_arn, String::clone),
            optional_row("kms-key-arn", &self.kms_key_arn, String::clone),
            optional_row("job-queue", &self.job_queue, String::clone),
            optional_row("job-definition", &self.job_definition, String::clone),
        ]
    }
}

fn name(text: &str, longest: usize, others: &str) -> Result<String, String> {
    let fits = (1..=longest).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || others.contains(c));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is no name; it has 1 to {longest} letters, digits and any of {others}"
        ))
    }
}

fn arn(text: &str, of: &str) -> Result<String, String> {
    match text.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", _, service, _, _, name] if service == of && !name.is_empty() => Ok(text.to_owned()),
        _ => Err(format!(
            "{text:?} is no ARN of {of}, as arn:aws:{of}:REGION:ACCOUNT:NAME"
        )),
    }
}

/// What Batch takes a queue or a definition by.
fn name_or_arn(text: &str) -> Result<String, String> {
    if text.starts_with("arn:") {
        arn(text, "batch")
    } else {
        name(text, JOB_NAME_MAX, "-_:")
    }
}

fn queue_url(text: &str) -> Result<String, String> {
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    if is_url && !text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is no URL of a queue, as https://sqs.eu-central-1.amazonaws.com/111122223333/wake-ups"
        ))
    }
}
