"""What must hold of the template, one function for each rule: it yields what breaks it.

They take the parsed template and nothing else, so that `test_planted.py` can break a copy and see each rule find it.
"""

import graphlib
import json
import re

from template import (
    branches,
    dependencies,
    every,
    granted,
    listed,
    name_of,
    of_type,
    references,
    statements,
)

RULES = {}


def rule(function):
    RULES[function.__name__] = function
    return function


BUCKETS = ("StagingBucket", "ArchiveBucket")
TAKES_TAGS = {
    "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::IAM::Role", "AWS::Lambda::Function",
    "AWS::Logs::LogGroup", "AWS::CloudWatch::Alarm", "AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage",
    "AWS::Batch::ComputeEnvironment", "AWS::Batch::JobQueue", "AWS::Batch::JobDefinition",
}  # fmt: skip


def properties(template, name):
    return template["Resources"][name].get("Properties", {})


# ---------------------------------------------------------------- buckets


@rule
def nothing_expires_a_version(template):
    for name in BUCKETS:
        for entry in properties(template, name)["LifecycleConfiguration"]["Rules"]:
            extra = set(entry) - {"Id", "Status", "AbortIncompleteMultipartUpload", "ExpiredObjectDeleteMarker"}
            if extra:
                yield f"{name}: the lifecycle rule {entry.get('Id')} has {sorted(extra)}"
    staging = properties(template, "StagingBucket")
    for setting in ("ReplicationConfiguration", "ObjectLockConfiguration", "ObjectLockEnabled"):
        if setting in staging:
            yield f"StagingBucket has {setting}: its versions could not be removed"


@rule
def abandoned_parts_are_removed_but_not_slow_uploads(template):
    for name in BUCKETS:
        rules = properties(template, name)["LifecycleConfiguration"]["Rules"]
        days = [
            entry["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
            for entry in rules
            if "AbortIncompleteMultipartUpload" in entry and entry["Status"] == "Enabled"
        ]
        if days != [7]:
            yield f"{name} aborts multipart uploads after {days} days"
    markers = [entry.get("ExpiredObjectDeleteMarker") for entry in properties(template, "StagingBucket")["LifecycleConfiguration"]["Rules"]]
    if True not in markers:
        yield "StagingBucket keeps delete markers over nothing"


@rule
def buckets_are_versioned_private_and_encrypted(template):
    if set(of_type(template, "AWS::S3::Bucket")) != set(BUCKETS):
        yield "there are other buckets"
    for name in BUCKETS:
        bucket = properties(template, name)
        if bucket.get("VersioningConfiguration") != {"Status": "Enabled"}:
            yield f"{name} is not versioned"
        blocked = bucket.get("PublicAccessBlockConfiguration", {})
        if len(blocked) != 4 or not all(value is True for value in blocked.values()):
            yield f"{name} may be made public"
        if bucket.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{name} has ACLs"
        (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        kinds = {each["SSEAlgorithm"] for each in branches(encryption["ServerSideEncryptionByDefault"])}
        if kinds != {"aws:kms", "AES256"}:
            yield f"{name} is encrypted by {kinds}"


@rule
def only_the_page_may_send_from_a_browser(template):
    if "CorsConfiguration" in properties(template, "ArchiveBucket"):
        yield "the archive answers browsers"
    (cors,) = properties(template, "StagingBucket")["CorsConfiguration"]["CorsRules"]
    for origin in cors["AllowedOrigins"]:
        for origin in branches(origin):
            is_page = origin == {"Ref": "PageOrigin"}
            is_api = "Api" in references(origin) and str(origin.get("Fn::Sub", "")).startswith("https://${Api}.")
            if not is_page and not is_api:
                yield f"staging answers browsers of {origin}"
    exposed = {header.lower() for header in cors["ExposedHeaders"]}
    for header in ("etag", "x-amz-version-id", "x-amz-checksum-crc64nvme"):
        if header not in exposed:
            yield f"the page cannot read {header}"
    for api in branches(properties(template, "Api").get("CorsConfiguration", {"Ref": "AWS::NoValue"})):
        if api["AllowOrigins"] != [{"Ref": "PageOrigin"}] or api.get("AllowCredentials"):
            yield "the API answers other pages"
    pattern = re.compile(template["Parameters"]["PageOrigin"]["AllowedPattern"])
    for bad in ("*", "https://*.example.com", "http://example.com", "https://example.com/", "null"):
        if pattern.fullmatch(bad):
            yield f"PageOrigin may be {bad}"


@rule
def buckets_and_queues_speak_tls_only(template):
    said = set()
    for name, _, statement in statements(template):
        is_tls = (
            statement["Effect"] == "Deny"
            and statement.get("Principal") == "*"
            and statement["Action"] in ("s3:*", "sqs:*")
            and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        )
        if is_tls:
            said |= {name_of(resource) for resource in listed(statement["Resource"])}
    wanted = set(of_type(template, "AWS::SQS::Queue"))
    for bucket in of_type(template, "AWS::S3::Bucket"):
        wanted |= {bucket, f"{bucket}/*"}
    for missing in sorted(wanted - said):
        yield f"{missing} may be reached without TLS"
    for kind, field in (("AWS::S3::BucketPolicy", "Bucket"), ("AWS::SQS::QueuePolicy", "Queues")):
        covered = {to for policy in of_type(template, kind).values() for to in references(policy["Properties"][field])}
        for _, policy in of_type(template, kind).items():
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                for resource in listed(statement["Resource"]):
                    if name_of(resource).split("/")[0] not in covered:
                        yield f"a policy speaks of {name_of(resource)} and is not attached to it"


@rule
def bucket_policies_refuse_nothing_but_plain_http(template):
    for name, policy in of_type(template, "AWS::S3::BucketPolicy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            if statement.get("Sid") != "TlsOnly" or "none-match" in json.dumps(statement):
                yield f"{name}: {statement.get('Sid')} may break copies and replays"


@rule
def what_holds_files_outlives_the_stack(template):
    for name, resource in template["Resources"].items():
        if resource["Type"] in ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::DynamoDB::Table"):
            for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
                if resource.get(policy) != "Retain":
                    yield f"{name}: {policy} is {resource.get(policy)}"


# ----------------------------------------------------------------- queues


@rule
def a_wake_up_stays_hidden_for_six_times_the_functions_time(template):
    timeouts = template["Mappings"]["Timeouts"]
    parameter = {"Ref": "FunctionTimeoutS"}
    if properties(template, "WakeUps").get("VisibilityTimeout") != {"Fn::FindInMap": ["Timeouts", parameter, "VisibilityS"]}:
        yield "the visibility timeout does not follow from the function's"
    if properties(template, "Processor")["Timeout"] != parameter:
        yield "the processor's timeout is not the parameter"
    if set(template["Parameters"]["FunctionTimeoutS"]["AllowedValues"]) != set(timeouts):
        yield "a timeout may be chosen that has no visibility timeout"
    window = properties(template, "ProcessorMapping").get("MaximumBatchingWindowInSeconds", 0)
    for timeout, follows in timeouts.items():
        if follows["VisibilityS"] < 6 * int(timeout) + window:
            yield f"{timeout} s: hidden for {follows['VisibilityS']} s only"
        if follows["LimitS"] > int(timeout) - 30:
            yield f"{timeout} s: user code has {follows['LimitS']} s, which leaves no time to archive"


@rule
def dead_letters_are_kept_on_each_hop(template):
    queues = of_type(template, "AWS::SQS::Queue")
    dead = set()
    for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values():
        source = name_of(mapping["Properties"]["EventSourceArn"])
        redrive = queues[source]["Properties"].get("RedrivePolicy", {})
        if not redrive.get("deadLetterTargetArn") or redrive.get("maxReceiveCount", 0) < 3:
            yield f"{source} has no dead letters"
        else:
            dead.add(name_of(redrive["deadLetterTargetArn"]))
    failing = {
        name_of(config["Properties"]["FunctionName"]): config["Properties"].get("DestinationConfig", {}).get("OnFailure", {})
        for config in of_type(template, "AWS::Lambda::EventInvokeConfig").values()
    }
    for name, schedule in of_type(template, "AWS::Scheduler::Schedule").items():
        target = schedule["Properties"]["Target"]
        if "DeadLetterConfig" not in target:
            yield f"{name} has no dead letters"
        else:
            dead.add(name_of(target["DeadLetterConfig"]["Arn"]))
        # Scheduler calls a function asynchronously and is content when Lambda has taken the call.
        function = name_of(target["Arn"])
        if not failing.get(function):
            yield f"{function} has no dead letters for calls that failed"
        else:
            dead.add(name_of(failing[function]["Destination"]))
    watched = {
        name_of(alarm["Properties"]["Dimensions"][0]["Value"])
        for alarm in of_type(template, "AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["MetricName"] == "ApproximateNumberOfMessagesVisible"
    }
    for name in dead:
        if queues[name]["Properties"].get("MessageRetentionPeriod") != 1209600:
            yield f"{name} keeps dead letters for less than 14 days"
        if name not in watched:
            yield f"nobody hears of dead letters in {name}"


@rule
def events_reach_the_queue(template):
    notification = properties(template, "StagingBucket").get("NotificationConfiguration", {})
    if notification.get("QueueConfigurations") != [{"Event": "s3:ObjectCreated:*", "Queue": {"Fn::GetAtt": ["WakeUps", "Arn"]}}]:
        yield f"staging tells {notification}"
    if "NotificationConfiguration" in properties(template, "ArchiveBucket"):
        yield "the archive tells of what the pipeline itself writes"
    if "WakeUpsPolicy" not in dependencies(template)["StagingBucket"]:
        yield "the notification may be set before S3 may send"
    queue = properties(template, "WakeUps")
    for setting in ("FifoQueue", "MaximumMessageSize", "KmsMasterKeyId"):
        if setting in queue:
            yield f"WakeUps has {setting}: S3's events would be refused"
    senders = [
        statement for name, _, statement in statements(template)
        if name == "WakeUpsPolicy" and statement["Effect"] == "Allow"
    ]  # fmt: skip
    account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    for sender in senders:
        if sender["Principal"] != {"Service": "s3.amazonaws.com"} or sender.get("Condition") != account or listed(sender["Action"]) != ["sqs:SendMessage"]:
            yield "somebody else than this account's S3 may send"
    if not senders:
        yield "S3 may not send"


@rule
def everything_can_be_made_in_some_order(template):
    try:
        list(graphlib.TopologicalSorter(dependencies(template)).static_order())
    except graphlib.CycleError as error:
        yield f"a circle: {error.args[1]}"


@rule
def queues_are_encrypted(template):
    for name, queue in of_type(template, "AWS::SQS::Queue").items():
        if queue["Properties"].get("SqsManagedSseEnabled") is not True:
            yield f"{name} is not encrypted"


# ----------------------------------------------------------------- ledger


@rule
def the_ledger_is_as_its_code_says(template):
    ledger = properties(template, "Ledger")
    keys = [(key["AttributeName"], key["KeyType"]) for key in ledger["KeySchema"]]
    if keys != [("pk", "HASH"), ("sk", "RANGE")] or any(each["AttributeType"] != "S" for each in ledger["AttributeDefinitions"]):
        yield f"its keys are {keys}"
    if {"GlobalSecondaryIndexes", "LocalSecondaryIndexes"} & set(ledger):
        yield "it has an index that nobody reads"
    if ledger.get("TimeToLiveSpecification") != {"AttributeName": "forget_at", "Enabled": True}:
        yield "it does not forget what ended, or forgets something else"
    if ledger.get("BillingMode") != "PAY_PER_REQUEST":
        yield "it has a throughput to run out of"


@rule
def the_ledger_cannot_be_lost(template):
    ledger = properties(template, "Ledger")
    if ledger.get("PointInTimeRecoverySpecification") != {"PointInTimeRecoveryEnabled": True}:
        yield "it cannot be restored"
    if ledger.get("DeletionProtectionEnabled") is not True:
        yield "it can be deleted"
    if ledger.get("SSESpecification", {}).get("SSEEnabled") is not True:
        yield "it is encrypted by a key nobody can see used"


# -------------------------------------------------------------- permissions

# What cannot be narrowed to a resource, by the Service Authorization Reference.
NEEDS_EVERY_RESOURCE = {
    "xray:PutTraceSegments", "xray:PutTelemetryRecords", "batch:DescribeJobs", "batch:ListJobs",
    "ecr:GetAuthorizationToken",
}  # fmt: skip
LEDGER = {
    (f"dynamodb:{action}", "Ledger")
    for action in ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem")
}
# A job knows its upload (crates/pipeline/src/driver/job.rs) and lists nothing.
LISTS = {("dynamodb:Query", "Ledger")}
KEY = {("kms:Decrypt", "KmsKeyArn"), ("kms:GenerateDataKey", "KmsKeyArn")}
TRACES = {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")}
MOVER = LEDGER - LISTS | KEY | {
    ("s3:ListBucketVersions", "StagingBucket"), ("s3:ListBucket", "StagingBucket"),
    ("s3:GetObjectVersion", "StagingBucket/*"), ("s3:GetObjectVersionTagging", "StagingBucket/*"),
    ("s3:DeleteObjectVersion", "StagingBucket/*"),
    ("s3:ListBucketVersions", "ArchiveBucket"), ("s3:ListBucket", "ArchiveBucket"),
    ("s3:GetObject", "ArchiveBucket/*"), ("s3:GetObjectVersion", "ArchiveBucket/*"),
    ("s3:PutObject", "ArchiveBucket/*"), ("s3:PutObjectTagging", "ArchiveBucket/*"),
    ("s3:AbortMultipartUpload", "ArchiveBucket/*"), ("s3:DeleteObjectVersion", "ArchiveBucket/*"),
    ("sqs:SendMessage", "WakeUps"),
    ("sts:AssumeRole", "FunctionRole"), ("lambda:InvokeFunction", "UserFunctionArn"),
}  # fmt: skip
UPLOADER = KEY | {
    ("s3:PutObject", "StagingBucket/*"), ("s3:AbortMultipartUpload", "StagingBucket/*"),
    ("s3:ListMultipartUploadParts", "StagingBucket/*"),
}  # fmt: skip
SUBMIT = {("batch:SubmitJob", "JobQueue"), ("batch:SubmitJob", "JobDefinition"), ("batch:ListJobs", "*")}
# It wakes and takes no turn (crates/aws/src/worker/sweep.rs): it reads no file's bytes, and knows nothing of the archive.
SWEEP = LEDGER | {
    ("kms:Decrypt", "KmsKeyArn"),
    ("s3:ListBucketVersions", "StagingBucket"), ("s3:ListBucket", "StagingBucket"),
    ("s3:ListBucketMultipartUploads", "StagingBucket"),
    ("s3:GetObjectVersion", "StagingBucket/*"), ("s3:DeleteObjectVersion", "StagingBucket/*"),
    ("sqs:SendMessage", "WakeUps"), ("sqs:SendMessage", "ScheduleDeadLetters"), ("batch:DescribeJobs", "*"),
}  # fmt: skip


def log(name):
    return {("logs:CreateLogStream", name), ("logs:PutLogEvents", name)}


MAY = {
    "ProcessorRole": MOVER | LISTS | TRACES | SUBMIT | log("ProcessorLog") | {
        ("sqs:ReceiveMessage", "WakeUps"), ("sqs:DeleteMessage", "WakeUps"),
        ("sqs:GetQueueAttributes", "WakeUps"),
    },
    "SweepRole": SWEEP | TRACES | SUBMIT | log("SweepLog"),
    "JobRole": MOVER | {("s3:GetObject", "arn:AWS::Partition:s3:::CodeBucket/CodePrefix/job")},
    "UploadsRole": UPLOADER | LEDGER | TRACES | log("UploadsLog") | {
        ("sqs:SendMessage", "WakeUps"), ("sts:AssumeRole", "UploaderRole"),
    },
    "UploaderRole": UPLOADER,
    "FunctionRole": KEY | {
        ("s3:GetObjectVersion", "StagingBucket/*"),
        ("s3:PutObject", "ArchiveBucket/_results/*"), ("s3:AbortMultipartUpload", "ArchiveBucket/_results/*"),
    },
    "SchedulerRole": {("lambda:InvokeFunction", "Sweep"), ("sqs:SendMessage", "ScheduleDeadLetters")},
    "JobStartRole": log("JobLog") | {
        ("ecr:GetAuthorizationToken", "*"), ("ecr:BatchGetImage", "JobRepositoryArn"),
        ("ecr:GetDownloadUrlForLayer", "JobRepositoryArn"),
    },
}  # fmt: skip


@rule
def roles_may_what_is_listed_and_nothing_else(template):
    roles = of_type(template, "AWS::IAM::Role")
    if set(roles) != set(MAY):
        yield f"the roles are {sorted(roles)}"
    found = granted(template)
    for role in sorted(set(MAY) | set(found)):
        for more in sorted(found.get(role, set()) - MAY.get(role, set())):
            yield f"{role} may also {more}"
        for less in sorted(MAY.get(role, set()) - found.get(role, set())):
            yield f"{role} may not {less}"
    for name, role in roles.items():
        if {"Policies", "ManagedPolicyArns"} & set(role["Properties"]):
            yield f"{name} has policies that are not listed"


TRUSTS = {
    "ProcessorRole": {"lambda.amazonaws.com"},
    "SweepRole": {"lambda.amazonaws.com"},
    "UploadsRole": {"lambda.amazonaws.com"},
    "SchedulerRole": {"scheduler.amazonaws.com"},
    "JobRole": {"ecs-tasks.amazonaws.com"},
    "JobStartRole": {"ecs-tasks.amazonaws.com"},
    "UploaderRole": {"UploadsRole"},
    "FunctionRole": {"ProcessorRole", "JobRole"},
}


@rule
def roles_are_taken_by_whom_they_are_for(template):
    account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    for name, role in of_type(template, "AWS::IAM::Role").items():
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        who = set()
        for kind, principals in statement["Principal"].items():
            for principal in listed(principals):
                for principal in branches(principal):
                    who.add(principal if kind == "Service" and isinstance(principal, str) else name_of(principal))
        if who != TRUSTS.get(name) or listed(statement["Action"]) != ["sts:AssumeRole"]:
            yield f"{name} is taken by {sorted(who)}"
        # Lambda sends no aws:SourceAccount when it takes a function's role.
        if who & {"scheduler.amazonaws.com", "ecs-tasks.amazonaws.com"} and statement.get("Condition") != account:
            yield f"{name} may be taken for another account"


@rule
def nothing_is_allowed_by_wildcard(template):
    for name, _, statement in statements(template):
        if statement["Effect"] != "Allow":
            continue
        if {"NotAction", "NotResource", "NotPrincipal"} & set(statement):
            yield f"{name} allows all but something"
        for action in listed(statement["Action"]):
            if "*" in action:
                yield f"{name} allows {action}"
            for resource in listed(statement.get("Resource", [])):
                if name_of(resource) == "*" and action not in NEEDS_EVERY_RESOURCE:
                    yield f"{name} allows {action} on everything"


@rule
def uploaders_write_no_dot_segments(template):
    """A `.` or `..` between slashes of a key harms whoever writes objects out as files; credentials for a folder could name one."""
    denied = {}
    for policy in of_type(template, "AWS::IAM::Policy").values():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Deny" and "Condition" not in statement and "s3:PutObject" in listed(statement["Action"]):
                for role in policy["Properties"]["Roles"]:
                    for role in branches(role):
                        denied.setdefault(role["Ref"], set()).update(name_of(each) for each in listed(statement["Resource"]))
    wanted = {f"StagingBucket/{key}" for dots in (".", "..") for key in (dots, f"{dots}/*", f"*/{dots}", f"*/{dots}/*")}
    for role, may in granted(template).items():
        if role.startswith("Upload") and ("s3:PutObject", "StagingBucket/*") in may:
            for missing in sorted(wanted - denied.get(role, set())):
                yield f"{role} may put {missing}"


@rule
def nothing_is_public(template):
    for name, _, statement in statements(template):
        principal = statement.get("Principal")
        if statement["Effect"] == "Allow" and any(inner == "*" for inner in every(principal)):
            yield f"{name} allows anybody"
    for name, permission in of_type(template, "AWS::Lambda::Permission").items():
        given = permission["Properties"]
        if given["Principal"] == "*" or "SourceArn" not in given or "SourceAccount" not in given:
            yield f"{name} lets others invoke"
    if of_type(template, "AWS::Lambda::Url"):
        yield "a function has a URL of its own"


# The most characters of a role's inline policies together (IAM quotas). A reference counts as the longest ARN it may be.
INLINE_MAX = 10_240
ARN_MAX = 200


@rule
def inline_policies_fit_into_their_role(template):
    size = {}
    for policy in of_type(template, "AWS::IAM::Policy").values():
        document = json.dumps(policy["Properties"]["PolicyDocument"], separators=(",", ":"))
        length = len(document) + ARN_MAX * len(list(references(policy["Properties"]["PolicyDocument"])))
        for role in policy["Properties"]["Roles"]:
            for role in branches(role):
                size[role["Ref"]] = size.get(role["Ref"], 0) + length
    for role, length in size.items():
        if length > INLINE_MAX:
            yield f"{role} has {length} characters of policies"


@rule
def the_key_is_used_through_s3_and_dynamodb_only(template):
    for name, _, statement in statements(template):
        if any(action.startswith("kms:") for action in listed(statement["Action"])):
            via = statement.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService")
            services = {name_of(each).split(".")[0] for each in listed(via)} if via else {"anything"}
            if not services <= {"s3", "dynamodb"}:
                yield f"{name} uses the key through {services}"


# ---------------------------------------------------------------- functions


@rule
def functions_are_what_is_packaged(template):
    zips = {"Processor": "processor.zip", "Sweep": "sweep.zip", "Uploads": "uploads.zip"}
    functions = of_type(template, "AWS::Lambda::Function")
    if set(functions) != set(zips):
        yield f"the functions are {sorted(functions)}"
    for name, function in functions.items():
        given = function["Properties"]
        if given.get("Code") != {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Fn::Sub": "${CodePrefix}/" + zips.get(name, "")}}:
            yield f"{name} is {given.get('Code')}"
        if given["Runtime"] != "provided.al2023" or given["Architectures"] != [{"Ref": "Architecture"}]:
            yield f"{name} runs on {given['Runtime']} {given['Architectures']}"
        if name_of(given["Role"]) != f"{name}Role" or name_of(given["LoggingConfig"]["LogGroup"]) != f"{name}Log":
            yield f"{name} has another's role or log"
        if not {f"{name}OnLog"} <= dependencies(template)[name]:
            yield f"{name} may run before it may log"


@rule
def the_processor_may_wake_itself(template):
    if properties(template, "Processor").get("RecursiveLoop") != "Allow":
        yield "Lambda stops a processor that puts a wake-up back some sixteen times, and the wake-up is gone"
    for name in ("Sweep", "Uploads"):
        if "RecursiveLoop" in properties(template, name):
            yield f"{name} wakes others only"


@rule
def a_job_runs_an_image_of_its_own_or_fetches_the_program(template):
    container = properties(template, "JobDefinition")["ContainerProperties"]
    own, fetched = ("HasJobImage", {"Ref": "JobImage"}, ["job"]), container["Command"]["Fn::If"][2]
    if container["Image"] != {"Fn::If": [own[0], own[1], "public.ecr.aws/amazonlinux/amazonlinux:2023"]}:
        yield f"it runs {container['Image']}"
    if container["Command"]["Fn::If"][:2] != [own[0], own[2]] or fetched[:2] != ["sh", "-ceu"]:
        yield f"it runs {container['Command']}"
    script = fetched[2]["Fn::Sub"]
    if "/${CodeBucket}/${CodePrefix}/job" not in script or "https://s3." not in script:
        yield "it fetches something else than what is packaged"
    for secret in ("SecretAccessKey", "Token"):
        if not re.search(rf'"\$\(of {secret}\)".*\|\n.*-K -', script, re.S):
            yield f"{secret} is an argument of a program"


@rule
def one_failure_hands_back_one_wake_up(template):
    mapping = properties(template, "ProcessorMapping")
    if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
        yield "one failure hands back the whole batch"
    if mapping.get("ScalingConfig") != {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}}:
        yield "nothing bounds the processors"
    if mapping.get("MaximumBatchingWindowInSeconds", 0) != 0:
        yield "a lone file waits"
    if "ProcessorOnQueue" not in dependencies(template)["ProcessorMapping"]:
        yield "the mapping may be made before the processor may read"
    if template["Parameters"]["BatchSize"]["MaxValue"] > 10:
        yield "batches above 10 need a window"


@rule
def staging_is_swept(template):
    schedules = of_type(template, "AWS::Scheduler::Schedule")
    if [name_of(each["Properties"]["Target"]["Arn"]) for each in schedules.values()] != ["Sweep"]:
        yield "nothing sweeps"
    for schedule in schedules.values():
        given = schedule["Properties"]
        if given["State"] != "ENABLED" or given["ScheduleExpression"] != {"Fn::Sub": "rate(${SweepMinutes} minutes)"}:
            yield f"it sweeps by {given['ScheduleExpression']}, {given['State']}"
        if given["Target"].get("RetryPolicy", {}).get("MaximumRetryAttempts", 0) < 1:
            yield "a sweep that could not be started is given up"


@rule
def logs_end(template):
    for name, group in of_type(template, "AWS::Logs::LogGroup").items():
        if group["Properties"].get("RetentionInDays") != {"Ref": "LogRetentionDays"}:
            yield f"{name} is kept for ever"


# --------------------------------------------------------------------- API


@rule
def every_call_of_the_api_is_by_somebody_known(template):
    routes = of_type(template, "AWS::ApiGatewayV2::Route")
    open_to_all = {route["Properties"]["RouteKey"] for route in routes.values() if "NONE" in list(branches(route["Properties"].get("AuthorizationType", "NONE")))}
    if open_to_all != {"GET /", "GET /assets/{proxy+}"}:
        yield f"open to all: {sorted(open_to_all)}"
    api = [route["Properties"] for route in routes.values() if "/api/" in route["Properties"]["RouteKey"]]
    if [route["AuthorizationType"] for route in api] != [{"Fn::If": ["HasJwt", "JWT", "AWS_IAM"]}]:
        yield "calls of the API are not by token or signature"
    for authorizer in of_type(template, "AWS::ApiGatewayV2::Authorizer").values():
        if authorizer["Properties"]["JwtConfiguration"] != {"Issuer": {"Ref": "JwtIssuer"}, "Audience": [{"Ref": "JwtAudience"}]}:
            yield "tokens of others are good"


@rule
def calls_of_the_api_are_bounded_and_logged_without_secrets(template):
    stage = properties(template, "ApiStage")
    settings = stage.get("DefaultRouteSettings", {})
    if not {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(settings):
        yield "nothing bounds the calls"
    form = stage.get("AccessLogSettings", {}).get("Format", "")
    logged = set(re.findall(r"\$context\.([A-Za-z.]+)", form))
    allowed = {
        "requestId", "identity.sourceIp", "requestTime", "httpMethod", "path", "status", "responseLatency",
        "responseLength", "error.message", "authorizer.error",
    }  # fmt: skip
    if not logged or logged - allowed:
        yield f"the access log has {sorted(logged - allowed)}"


# ------------------------------------------------------------------- alarms

# Metrics there are, by what each is counted for: of AWS by its documentation, of ours by deploy/README.md.
METRICS = {
    ("TwoBuckets", "OldestUnfinishedSeconds"): "Stack",
    ("TwoBuckets", "FailedUploads"): "Stack",
    ("TwoBuckets", "ArchivedUploads"): "Stack",
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): "QueueName",
    ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"): "QueueName",
    ("AWS/Lambda", "Invocations"): "FunctionName",
    ("AWS/Lambda", "Errors"): "FunctionName",
    ("AWS/Lambda", "Throttles"): "FunctionName",
    ("AWS/Lambda", "Duration"): "FunctionName",
    ("AWS/Lambda", "ConcurrentExecutions"): "FunctionName",
    ("AWS/DynamoDB", "ReadThrottleEvents"): "TableName",
    ("AWS/DynamoDB", "WriteThrottleEvents"): "TableName",
    ("AWS/DynamoDB", "ConsumedReadCapacityUnits"): "TableName",
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits"): "TableName",
    ("AWS/ApiGateway", "Count"): "ApiId",
    ("AWS/ApiGateway", "4xx"): "ApiId",
    ("AWS/ApiGateway", "5xx"): "ApiId",
}
OF_WHAT = {
    "Stack": {"AWS::StackName"},
    "QueueName": "AWS::SQS::Queue",
    "FunctionName": "AWS::Lambda::Function",
    "TableName": "AWS::DynamoDB::Table",
    "ApiId": "AWS::ApiGatewayV2::Api",
}
WATCHED = {
    ("OldestUnfinishedSeconds", "AWS::StackName"), ("FailedUploads", "AWS::StackName"),
    ("ApproximateNumberOfMessagesVisible", "WakeUpsDeadLetters"),
    ("ApproximateNumberOfMessagesVisible", "ScheduleDeadLetters"),
    ("Errors", "Processor"), ("Errors", "Sweep"), ("Errors", "Uploads"),
    ("Throttles", "Processor"), ("Throttles", "Sweep"), ("Throttles", "Uploads"),
    ("ReadThrottleEvents", "Ledger"), ("WriteThrottleEvents", "Ledger"), ("5xx", "Api"),
}  # fmt: skip


def exists(template, dimension, named):
    of = OF_WHAT[dimension]
    return named in (of if isinstance(of, set) else of_type(template, of))


@rule
def alarms_watch_what_there_is(template):
    watched = set()
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items():
        given = alarm["Properties"]
        (dimension,) = given["Dimensions"]
        wanted = METRICS.get((given["Namespace"], given["MetricName"]))
        if wanted != dimension["Name"] or not exists(template, wanted, name_of(dimension["Value"])):
            yield f"{name} watches a metric that is never there"
        watched.add((given["MetricName"], name_of(dimension["Value"])))
        for actions in ("AlarmActions", "OKActions"):
            if given.get(actions) != {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}:
                yield f"nobody hears of {name}"
        if given["ComparisonOperator"] != "GreaterThanThreshold":
            yield f"{name} rings the wrong way round"
    for metric, of in sorted(WATCHED - watched):
        yield f"nothing watches {metric} of {of}"
    oldest = properties(template, "OldestUnfinishedAlarm")
    if oldest.get("TreatMissingData") != "breaching":
        yield "when nothing sweeps, nobody hears of it"
    slowest = max(template["Parameters"]["SweepMinutes"]["AllowedValues"]) * 60
    if oldest["Period"] < slowest:
        yield "between two sweeps the alarm has no data and rings"


@rule
def the_dashboard_shows_what_there_is(template):
    body = properties(template, "Dashboard")["DashboardBody"]["Fn::Sub"]
    for widget in json.loads(body)["widgets"]:
        for namespace, metric, dimension, value in widget["properties"]["metrics"]:
            named = re.sub(r"^\$\{([^}.]+)(\.[^}]+)?\}$", r"\1", value)
            if METRICS.get((namespace, metric)) != dimension or not exists(template, dimension, named):
                yield f"{namespace} {metric} of {value} is never there"


# -------------------------------------------------------------- parameters


@rule
def parameters_say_what_they_are(template):
    grouped = [
        name
        for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        for name in group["Parameters"]
    ]
    parameters = template["Parameters"]
    if sorted(grouped) != sorted(parameters):
        yield f"not in exactly one group: {set(grouped) ^ set(parameters)}"
    used = set(references({key: template[key] for key in ("Resources", "Conditions", "Outputs")}))
    for name, parameter in parameters.items():
        if not parameter.get("Description"):
            yield f"{name} does not say what it is"
        if "Default" not in parameter and name not in ("CodeBucket", "CodePrefix"):
            yield f"{name} has no default"
        if ("AllowedPattern" in parameter) != ("ConstraintDescription" in parameter):
            yield f"{name} refuses without saying why"
        if name not in used:
            yield f"{name} does nothing"
    for name in template["Conditions"]:
        used = any(inner.get("Condition") == name or inner.get("Fn::If", [None])[0] == name for inner in every(template) if isinstance(inner, dict))
        if not used:
            yield f"the condition {name} does nothing"


@rule
def all_that_takes_tags_is_tagged(template):
    for name, resource in template["Resources"].items():
        if resource["Type"] in TAKES_TAGS:
            tags = resource["Properties"].get("Tags")
            stack = {"Ref": "AWS::StackName"}
            if tags not in ([{"Key": "two-buckets", "Value": stack}], {"two-buckets": stack}):
                yield f"{name} is not tagged"


@rule
def the_command_line_finds_its_way(template):
    wanted = {
        "StagingBucket", "ArchiveBucket", "LedgerTable", "QueueUrl", "DeadLettersUrl", "ApiUrl", "Processor",
        "ProcessorMapping", "Sweep", "Uploads", "ProcessorLog", "FunctionArn", "FunctionRoleArn", "JobQueue",
        "JobDefinition", "MaxAttempts",
    }  # fmt: skip
    for missing in sorted(wanted - set(template["Outputs"])):
        yield f"no output {missing}"
