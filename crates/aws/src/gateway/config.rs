//! What a deployment tells its upload function: by variables of the environment, which the template sets.

use std::sync::Arc;
use std::time::Duration;

use two_buckets_objects::BucketName;
use two_buckets_pipeline::Clock as _;
use two_buckets_uploads::{
    ClaimName, ClaimRules, FILE_SIZE_BYTES_MAX, GatewayAccess, S3Address, ServerFacts, Signing,
    Sources, UploadLimits, WebOrigin,
};

use crate::ledger::DynamoLedger;
use crate::tracker::{AwsTracker, Parts};
use crate::wake::SqsWakeUps;
use crate::worker::{DeploymentJobs, Problems, SystemClock, Variables};
use crate::{Clients, NoBucketUrl, S3GrantOptions, S3Grants};

const DAY: Duration = Duration::from_hours(24);
/// A century.
const HISTORY_DAYS_MAX: u32 = 36_500;

/// Where an upload function's deployment has its parts, and whom it answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `TWO_BUCKETS_STACK`: the deployment's name.
    pub stack: Option<String>,
    /// `TWO_BUCKETS_STAGING`: the bucket that files come into.
    pub staging: BucketName,
    /// `TWO_BUCKETS_ARCHIVE`: the bucket that keeps them, of which only the name is told.
    pub archive: BucketName,
    /// `TWO_BUCKETS_LEDGER_TABLE`: the ledger's table.
    pub ledger_table: String,
    /// `TWO_BUCKETS_LEDGER_SHARDS`: how many parts a ledger gets that nobody has used yet; 1 to 99.
    pub ledger_shards: u8,
    /// `TWO_BUCKETS_QUEUE_URL`: the queue of wake-ups.
    pub queue_url: String,
    /// `TWO_BUCKETS_HISTORY_DAYS`: how long rows are kept after their end; 1 day to 36,500.
    pub history: Duration,
    /// `TWO_BUCKETS_UPLOADER_ROLE_ARN`: the role whose sessions sign and are handed to uploaders.
    pub uploader_role_arn: String,
    /// `TWO_BUCKETS_KMS_KEY_ARN`: the key with which the staging bucket encrypts, if that is its owner's own.
    pub kms_key_arn: Option<String>,
    /// `TWO_BUCKETS_AUTHORIZATION`: `jwt` or `iam`, which authorizer's word counts.
    pub signing: Signing,
    /// `TWO_BUCKETS_OIDC_PREFIX_CLAIM`: the claim with the caller's prefix of keys.
    pub prefix_claim: Option<ClaimName>,
    /// `TWO_BUCKETS_OIDC_ADMIN_CLAIM`: the claim and its value that make an administrator, as `claim=value`.
    pub admin_claim: Option<(ClaimName, String)>,
    /// `TWO_BUCKETS_ALLOW_ORIGIN`: the page's origin, where it is not the API's own.
    pub allowed_origin: Option<WebOrigin>,
    /// `TWO_BUCKETS_UPLOAD_BYTES_MAX`: the largest file, if it is less than what S3 takes. A limit has its price: no
    /// credentials are given away, for nothing binds them to it.
    pub upload_bytes_max: Option<u64>,
}

impl Config {
    /// By what this says of each variable; an empty one counts as not set. Tells of every problem.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let mut variables = Variables::new(variable);
        let stack = variables.text("TWO_BUCKETS_STACK");
        let staging = variables.needed::<BucketName>("TWO_BUCKETS_STAGING");
        let archive = variables.needed::<BucketName>("TWO_BUCKETS_ARCHIVE");
        let ledger_table = variables.needed("TWO_BUCKETS_LEDGER_TABLE");
        let ledger_shards = variables.number(
            "TWO_BUCKETS_LEDGER_SHARDS",
            1..=99,
            DynamoLedger::SHARDS_DEFAULT,
        );
        let queue_url = variables.needed("TWO_BUCKETS_QUEUE_URL");
        let history_days = variables.number("TWO_BUCKETS_HISTORY_DAYS", 1..=HISTORY_DAYS_MAX, 90);
        let uploader_role_arn = variables.needed("TWO_BUCKETS_UPLOADER_ROLE_ARN");
        let kms_key_arn = variables.text("TWO_BUCKETS_KMS_KEY_ARN");
        let signing = variables.parsed("TWO_BUCKETS_AUTHORIZATION", signing);
        let prefix_claim = variables.optional("TWO_BUCKETS_OIDC_PREFIX_CLAIM", claim);
        let admin_claim = variables.optional("TWO_BUCKETS_OIDC_ADMIN_CLAIM", admin_claim);
        let allowed_origin = variables.optional("TWO_BUCKETS_ALLOW_ORIGIN", |text| {
            text.parse::<WebOrigin>().map_err(|error| error.to_string())
        });
        let bytes_max = variables.number(
            "TWO_BUCKETS_UPLOAD_BYTES_MAX",
            1..=u64::MAX,
            FILE_SIZE_BYTES_MAX,
        );
        if staging.is_some() && staging == archive {
            variables.problem("TWO_BUCKETS_STAGING and TWO_BUCKETS_ARCHIVE name one bucket");
        }
        let has_claims = prefix_claim.is_some() || admin_claim.is_some();
        if signing == Some(Signing::Iam) && has_claims {
            variables.problem(
                "TWO_BUCKETS_OIDC_PREFIX_CLAIM and TWO_BUCKETS_OIDC_ADMIN_CLAIM need \
                 TWO_BUCKETS_AUTHORIZATION=jwt: callers by IAM have no claims",
            );
        }
        variables.whole((|| {
            Some(Self {
                stack,
                staging: staging?,
                archive: archive?,
                ledger_table: ledger_table?,
                ledger_shards: ledger_shards?,
                queue_url: queue_url?,
                history: DAY * history_days?,
                uploader_role_arn: uploader_role_arn?,
                kms_key_arn,
                signing: signing?,
                prefix_claim,
                admin_claim,
                allowed_origin,
                upload_bytes_max: bytes_max.filter(|bytes| *bytes < FILE_SIZE_BYTES_MAX),
            })
        })())
    }

    /// Who may call, and as what.
    pub fn access(&self) -> GatewayAccess {
        GatewayAccess {
            signing: self.signing,
            claims: ClaimRules {
                prefix_claim: self.prefix_claim.clone(),
                admin_claim: self.admin_claim.clone(),
                limits: UploadLimits {
                    size_bytes_max: self.upload_bytes_max,
                    ..UploadLimits::default()
                },
            },
            allowed_origins: self.allowed_origin.iter().cloned().collect(),
            // Lambda gives an answer when it is whole.
            streams: false,
        }
    }

    /// The claim that may be a list.
    pub fn lists(&self) -> Option<ClaimName> {
        self.admin_claim.as_ref().map(|(claim, _)| claim.clone())
    }

    /// Where uploads are. It may look into no bucket: the function's role may only put into staging. Calls nobody.
    pub async fn tracker(
        &self,
        clients: &Clients,
        version: &str,
    ) -> Result<AwsTracker<SystemClock>, NoBucketUrl> {
        let clock = Arc::new(SystemClock);
        let ledger = DynamoLedger::new(clients.dynamodb(), &self.ledger_table)
            .with_shards_if_new(self.ledger_shards)
            .with_history(self.history);
        let facts = ServerFacts {
            version: version.to_owned(),
            page_url: None,
            s3: S3Address {
                endpoint: clients.s3_url(&self.staging).await?,
                region: clients.region().to_owned(),
            },
            staging: self.staging.clone(),
            archive: self.archive.clone(),
            processor: match &self.stack {
                Some(stack) => format!("the processor of stack {stack}"),
                None => "a Lambda function".to_owned(),
            },
            paused: None,
        };
        Ok(AwsTracker::new(Parts {
            facts,
            ledger,
            wake_ups: SqsWakeUps::new(clients.sqs(), self.queue_url.clone(), Arc::clone(&clock)),
            clock,
            buckets: None,
            // Its role may end nobody's containers.
            jobs: DeploymentJobs::default(),
        }))
    }

    /// Who signs. Calls nobody.
    pub async fn grants(&self, clients: &Clients) -> Result<S3Grants, NoBucketUrl> {
        let options = S3GrantOptions {
            staging: self.staging.clone(),
            uploader_role_arn: Some(self.uploader_role_arn.clone()),
            kms_key_arn: self.kms_key_arn.clone(),
            clock: Arc::new(|| SystemClock.now()),
        };
        S3Grants::new(clients, options).await
    }
}

/// This machine's time and randomness.
pub fn sources() -> Sources {
    Sources {
        now: Arc::new(|| SystemClock.now()),
        random: Arc::new(|| {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes)
                .expect("Lambda's kernel gives randomness from its start on");
            u128::from_le_bytes(bytes)
        }),
    }
}

fn signing(text: &str) -> Result<Signing, String> {
    match text {
        "jwt" => Ok(Signing::Token),
        "iam" => Ok(Signing::Iam),
        other => Err(format!("{other:?} is neither \"jwt\" nor \"iam\"")),
    }
}

fn claim(text: &str) -> Result<ClaimName, String> {
    if text.starts_with('/') {
        return Err(format!(
            "{text:?} names a claim within a claim, which API Gateway does not pass on"
        ));
    }
    text.parse::<ClaimName>().map_err(|error| error.to_string())
}

/// `claim=value`. API Gateway writes a list's values with spaces between, so a value with one would not be known from
/// two.
fn admin_claim(text: &str) -> Result<(ClaimName, String), String> {
    match text.rsplit_once('=') {
        Some((name, value)) if !value.is_empty() && !value.contains(char::is_whitespace) => {
            Ok((claim(name)?, value.to_owned()))
        }
        _ => Err(format!(
            "{text:?} must be a claim and its value without spaces, as roles=files-admin"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 14] = [
        ("TWO_BUCKETS_STACK", "files"),
        ("TWO_BUCKETS_STAGING", "files-staging"),
        ("TWO_BUCKETS_ARCHIVE", "files-archive"),
        ("TWO_BUCKETS_LEDGER_TABLE", "files-ledger"),
        ("TWO_BUCKETS_LEDGER_SHARDS", "4"),
        (
            "TWO_BUCKETS_QUEUE_URL",
            "https://sqs.eu-central-1.amazonaws.com/1/files",
        ),
        ("TWO_BUCKETS_HISTORY_DAYS", "30"),
        (
            "TWO_BUCKETS_UPLOADER_ROLE_ARN",
            "arn:aws:iam::1:role/uploader",
        ),
        (
            "TWO_BUCKETS_KMS_KEY_ARN",
            "arn:aws:kms:eu-central-1:1:key/k",
        ),
        ("TWO_BUCKETS_AUTHORIZATION", "jwt"),
        ("TWO_BUCKETS_OIDC_PREFIX_CLAIM", "tenant"),
        ("TWO_BUCKETS_OIDC_ADMIN_CLAIM", "cognito:groups=keepers"),
        ("TWO_BUCKETS_ALLOW_ORIGIN", "https://files.example.com"),
        ("TWO_BUCKETS_UPLOAD_BYTES_MAX", "1000"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Config, Problems> {
        Config::read(|name| {
            let told = changes.iter().chain(&WHOLE).find(|(one, _)| *one == name);
            told.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_the_template_tells_is_read() {
        assert_eq!(
            read(&[]).unwrap(),
            Config {
                stack: Some("files".into()),
                staging: "files-staging".parse().unwrap(),
                archive: "files-archive".parse().unwrap(),
                ledger_table: "files-ledger".into(),
                ledger_shards: 4,
                queue_url: "https://sqs.eu-central-1.amazonaws.com/1/files".into(),
                history: Duration::from_hours(720),
                uploader_role_arn: "arn:aws:iam::1:role/uploader".into(),
                kms_key_arn: Some("arn:aws:kms:eu-central-1:1:key/k".into()),
                signing: Signing::Token,
                prefix_claim: Some("tenant".parse().unwrap()),
                admin_claim: Some(("cognito:groups".parse().unwrap(), "keepers".into())),
                allowed_origin: Some("https://files.example.com".parse().unwrap()),
                upload_bytes_max: Some(1000),
            }
        );
    }

    #[test]
    fn what_s3_takes_is_no_limit() {
        for all in ["50000000000000", "99999999999999999", ""] {
            let config = read(&[("TWO_BUCKETS_UPLOAD_BYTES_MAX", all)]).unwrap();
            assert_eq!(
                config.access().claims.limits,
                UploadLimits::default(),
                "{all}"
            );
        }
    }

    #[test]
    fn every_problem_is_told() {
        let wrong = [
            ("TWO_BUCKETS_STAGING", "Not A Bucket"),
            ("TWO_BUCKETS_ARCHIVE", ""),
            ("TWO_BUCKETS_LEDGER_TABLE", ""),
            ("TWO_BUCKETS_LEDGER_SHARDS", "0"),
            ("TWO_BUCKETS_QUEUE_URL", ""),
            ("TWO_BUCKETS_HISTORY_DAYS", "soon"),
            ("TWO_BUCKETS_UPLOADER_ROLE_ARN", ""),
            ("TWO_BUCKETS_AUTHORIZATION", "none"),
            ("TWO_BUCKETS_OIDC_PREFIX_CLAIM", "/realm/tenant"),
            ("TWO_BUCKETS_OIDC_ADMIN_CLAIM", "roles=files admin"),
            ("TWO_BUCKETS_ALLOW_ORIGIN", "*"),
            ("TWO_BUCKETS_UPLOAD_BYTES_MAX", "0"),
        ];
        let Problems(problems) = read(&wrong).unwrap_err();
        for (name, _) in wrong {
            let about = problems.iter().filter(|one| one.starts_with(name));
            assert_eq!(about.count(), 1, "{name} in {problems:?}");
        }
        assert_eq!(problems.len(), wrong.len(), "{problems:?}");
        let iam = read(&[("TWO_BUCKETS_AUTHORIZATION", "iam")]).unwrap_err();
        assert!(iam.to_string().contains("have no claims"), "{iam}");
        let nothing = read(&[("TWO_BUCKETS_AUTHORIZATION", "")]).unwrap_err();
        assert!(nothing.to_string().contains("AUTHORIZATION is not set"));
    }
}
