"""Each rule finds the mistake it is there for: planted into a copy of the template, one at a time."""

import copy

import pytest
from rules import RULES
from template import load

TEMPLATE = load()
PLANTED = []


def planted(rule):
    def register(function):
        PLANTED.append(pytest.param(rule, function, id=f"{rule}-{function.__name__}"))
        return function

    return register


def of(template, name):
    return template["Resources"][name]["Properties"]


def setting(rule, name, *path):
    """Plants a value at a path of a resource's properties."""

    def plant(value, called):
        def mistake(template):
            inner = of(template, name)
            for step in path[:-1]:
                inner = inner[step]
            if value is None:
                del inner[path[-1]]
            else:
                inner[path[-1]] = value

        mistake.__name__ = called
        planted(rule)(mistake)

    return plant


def lifecycle(name, entry):
    def mistake(template):
        of(template, name)["LifecycleConfiguration"]["Rules"].append({"Id": "planted", "Status": "Enabled", **entry})

    mistake.__name__ = f"{name}_{next(iter(entry))}"
    planted("nothing_expires_a_version")(mistake)


lifecycle("StagingBucket", {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
lifecycle("StagingBucket", {"ExpirationInDays": 30})
lifecycle("StagingBucket", {"Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 1}]})
lifecycle("ArchiveBucket", {"ExpirationInDays": 3650})
setting("nothing_expires_a_version", "StagingBucket", "ReplicationConfiguration")({}, "replicated")
setting("nothing_expires_a_version", "StagingBucket", "ObjectLockEnabled")(True, "locked")

PARTS = "abandoned_parts_are_removed_but_not_slow_uploads"
setting(PARTS, "StagingBucket", "LifecycleConfiguration", "Rules", 0, "AbortIncompleteMultipartUpload", "DaysAfterInitiation")(1, "after_a_day")
setting(PARTS, "ArchiveBucket", "LifecycleConfiguration", "Rules", 0, "Status")("Disabled", "never")
setting(PARTS, "StagingBucket", "LifecycleConfiguration", "Rules", 1, "ExpiredObjectDeleteMarker")(False, "markers_stay")

PRIVATE = "buckets_are_versioned_private_and_encrypted"
setting(PRIVATE, "StagingBucket", "VersioningConfiguration", "Status")("Suspended", "not_versioned")
setting(PRIVATE, "ArchiveBucket", "VersioningConfiguration")(None, "archive_not_versioned")
setting(PRIVATE, "StagingBucket", "PublicAccessBlockConfiguration", "BlockPublicPolicy")(False, "public")
setting(PRIVATE, "ArchiveBucket", "OwnershipControls")({"Rules": [{"ObjectOwnership": "ObjectWriter"}]}, "others_own")

CORS = "only_the_page_may_send_from_a_browser"
setting(CORS, "StagingBucket", "CorsConfiguration", "CorsRules", 0, "AllowedOrigins")(["*"], "any_page")
setting(CORS, "StagingBucket", "CorsConfiguration", "CorsRules", 0, "AllowedOrigins", 0)({"Fn::If": ["HasPageOrigin", {"Ref": "PageOrigin"}, "*"]}, "any_page_by_default")
setting(CORS, "StagingBucket", "CorsConfiguration", "CorsRules", 0, "ExposedHeaders")(["ETag"], "no_version_id")
setting(CORS, "Api", "CorsConfiguration")({"AllowOrigins": ["*"]}, "api_for_any_page")


@planted(CORS)
def a_wildcard_origin_is_accepted(template):
    template["Parameters"]["PageOrigin"]["AllowedPattern"] = ".*"


TLS = "buckets_and_queues_speak_tls_only"
setting(TLS, "ArchiveBucketPolicy", "PolicyDocument", "Statement", 0, "Condition", "Bool", "aws:SecureTransport")("true", "the_wrong_way_round")
setting(TLS, "StagingBucketPolicy", "PolicyDocument", "Statement", 0, "Resource")({"Fn::GetAtt": ["StagingBucket", "Arn"]}, "not_the_objects")
setting(TLS, "StagingBucketPolicy", "Bucket")({"Ref": "ArchiveBucket"}, "of_the_other_bucket")
setting(TLS, "DeadLettersPolicy", "PolicyDocument", "Statement", 0, "Resource")({"Fn::GetAtt": ["WakeUpsDeadLetters", "Arn"]}, "not_the_schedules")


@planted("bucket_policies_refuse_nothing_but_plain_http")
def if_none_match_is_demanded(template):
    of(template, "StagingBucketPolicy")["PolicyDocument"]["Statement"].append(
        {"Sid": "NewOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "x", "Condition": {"Null": {"s3:if-none-match": "true"}}}
    )


for stateful in ("StagingBucket", "ArchiveBucketPolicy", "Ledger"):

    def goes_with_the_stack(template, stateful=stateful):
        template["Resources"][stateful]["DeletionPolicy"] = "Delete"

    goes_with_the_stack.__name__ = f"{stateful}_goes_with_the_stack"
    planted("what_holds_files_outlives_the_stack")(goes_with_the_stack)


@planted("what_holds_files_outlives_the_stack")
def goes_when_replaced(template):
    del template["Resources"]["ArchiveBucket"]["UpdateReplacePolicy"]


HIDDEN = "a_wake_up_stays_hidden_for_six_times_the_functions_time"
setting(HIDDEN, "WakeUps", "VisibilityTimeout")(30, "thirty_seconds")
setting(HIDDEN, "Processor", "Timeout")(900, "another_timeout")
setting(HIDDEN, "ProcessorMapping", "MaximumBatchingWindowInSeconds")(60, "a_window_not_counted")


@planted(HIDDEN)
def five_times_only(template):
    template["Mappings"]["Timeouts"]["900"]["VisibilityS"] = 4500


@planted(HIDDEN)
def a_timeout_that_is_not_mapped(template):
    template["Parameters"]["FunctionTimeoutS"]["AllowedValues"].append("30")


@planted(HIDDEN)
def user_code_has_all_the_time(template):
    template["Mappings"]["Timeouts"]["60"]["LimitS"] = 60


DEAD = "dead_letters_are_kept_on_each_hop"
setting(DEAD, "WakeUps", "RedrivePolicy")(None, "none_for_the_queue")
setting(DEAD, "WakeUps", "RedrivePolicy", "maxReceiveCount")(1, "at_the_first_crash")
setting(DEAD, "SweepSchedule", "Target", "DeadLetterConfig")(None, "none_for_the_schedule")
setting(DEAD, "SweepInvocation", "DestinationConfig")({}, "none_for_the_sweep")
setting(DEAD, "WakeUpsDeadLetters", "MessageRetentionPeriod")(345600, "for_four_days")
setting(DEAD, "ScheduleDeadLettersAlarm", "MetricName")("NumberOfMessagesSent", "nobody_hears")

EVENTS = "events_reach_the_queue"
setting(EVENTS, "StagingBucket", "NotificationConfiguration")(None, "none")
setting(EVENTS, "StagingBucket", "NotificationConfiguration", "QueueConfigurations", 0, "Event")("s3:*", "removals_too")
setting(EVENTS, "ArchiveBucket", "NotificationConfiguration")({}, "of_the_archive")
setting(EVENTS, "WakeUps", "MaximumMessageSize")(1024, "too_large")
setting(EVENTS, "WakeUpsPolicy", "PolicyDocument", "Statement", 0, "Condition")(None, "of_any_account")
setting(EVENTS, "WakeUpsPolicy", "PolicyDocument", "Statement", 0, "Principal")("*", "of_anybody")


@planted(EVENTS)
def before_they_may_be_sent(template):
    del template["Resources"]["StagingBucket"]["DependsOn"]


@planted("everything_can_be_made_in_some_order")
def the_queues_policy_names_the_bucket(template):
    of(template, "WakeUpsPolicy")["PolicyDocument"]["Statement"][0]["Condition"] = {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["StagingBucket", "Arn"]}}}


setting("queues_are_encrypted", "ScheduleDeadLetters", "SqsManagedSseEnabled")(False, "one_is_not")

SCHEMA = "the_ledger_is_as_its_code_says"
setting(SCHEMA, "Ledger", "KeySchema", 1, "AttributeName")("id", "another_key")
setting(SCHEMA, "Ledger", "TimeToLiveSpecification", "AttributeName")("expires_at", "leases_are_forgotten")
setting(SCHEMA, "Ledger", "GlobalSecondaryIndexes")([], "an_index")
setting(SCHEMA, "Ledger", "BillingMode")("PROVISIONED", "provisioned")

KEPT = "the_ledger_cannot_be_lost"
setting(KEPT, "Ledger", "PointInTimeRecoverySpecification")(None, "no_recovery")
setting(KEPT, "Ledger", "DeletionProtectionEnabled")(False, "unprotected")
setting(KEPT, "Ledger", "SSESpecification")(None, "no_key")


def allowing(rule, policy, action, called, resource=None):
    def mistake(template):
        statement = of(template, policy)["PolicyDocument"]["Statement"][-1]
        statement["Action"] = [*statement["Action"], action]
        if resource:
            statement["Resource"] = resource

    mistake.__name__ = called
    planted(rule)(mistake)


LISTED = "roles_may_what_is_listed_and_nothing_else"
allowing(LISTED, "UploaderOnStaging", "s3:GetObject", "uploads_read")
allowing(LISTED, "UploaderOnStaging", "s3:DeleteObjectVersion", "uploads_delete")
allowing(LISTED, "FunctionOnStaging", "s3:DeleteObjectVersion", "user_code_deletes")
allowing(LISTED, "MoverOnStaging", "s3:DeleteObject", "the_mover_deletes_by_name")
allowing(LISTED, "MoverOnStaging", "s3:PutObject", "the_mover_writes_staging")
allowing(LISTED, "MoverOnArchive", "s3:BypassGovernanceRetention", "the_mover_lifts_the_lock")
allowing(LISTED, "SweepOnStaging", "s3:PutObject", "the_sweep_writes")
allowing(LISTED, "SweepOnKey", "kms:GenerateDataKey", "the_sweep_encrypts")
setting(LISTED, "FunctionOnArchive", "PolicyDocument", "Statement", 0, "Resource")({"Fn::Sub": "${ArchiveBucket.Arn}/*"}, "user_code_writes_anywhere")
setting(LISTED, "JobOnCode", "PolicyDocument", "Statement", 0, "Resource")({"Fn::Sub": "arn:${AWS::Partition}:s3:::${CodeBucket}/*"}, "jobs_read_all_code")
setting(LISTED, "FunctionOnStaging", "Roles")([{"Ref": "FunctionRole"}, {"Ref": "UploaderRole"}], "uploaders_read_versions")
setting(LISTED, "FunctionOnStaging", "PolicyDocument", "Statement", 0, "Resource")({"Fn::Sub": "${ArchiveBucket.Arn}/*"}, "user_code_reads_the_archive")
setting(LISTED, "SweepRole", "ManagedPolicyArns")(["arn:aws:iam::aws:policy/AdministratorAccess"], "a_managed_policy")
setting(LISTED, "MoverOnStaging", "PolicyDocument", "Statement", 0, "Action")(["s3:ListBucketVersions"], "missing_files_read_as_forbidden")

TAKEN = "roles_are_taken_by_whom_they_are_for"
setting(TAKEN, "FunctionRole", "AssumeRolePolicyDocument", "Statement", 0, "Principal")({"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}, "by_the_whole_account")
setting(TAKEN, "SchedulerRole", "AssumeRolePolicyDocument", "Statement", 0, "Condition")(None, "for_any_account")

DOTS = "uploaders_write_no_dot_segments"
setting(DOTS, "UploaderOnDots", "PolicyDocument", "Statement", 0, "Effect")("Allow", "allowed")
setting(DOTS, "UploaderOnDots", "Roles")([{"Ref": "UploadsRole"}], "by_credentials")
setting(DOTS, "UploaderOnDots", "PolicyDocument", "Statement", 0, "Resource")([{"Fn::Sub": "${StagingBucket.Arn}/*/../*"}], "in_the_middle_only")
setting(DOTS, "UploaderOnDots", "PolicyDocument", "Statement", 0, "Condition")({"Bool": {"aws:SecureTransport": "true"}}, "only_sometimes")

setting("the_processor_may_wake_itself", "Processor", "RecursiveLoop")("Terminate", "it_is_stopped")
setting("the_processor_may_wake_itself", "Sweep", "RecursiveLoop")("Allow", "others_too")

JOB = "a_job_runs_an_image_of_its_own_or_fetches_the_program"
setting(JOB, "JobDefinition", "ContainerProperties", "Image")({"Ref": "JobImage"}, "an_image_that_is_not_given")
setting(JOB, "JobDefinition", "ContainerProperties", "Command")({"Fn::If": ["HasJobImage", ["job"], ["sh", "-ceu", {"Fn::Sub": "curl https://s3.x/${CodeBucket}/${CodePrefix}/other"}]]}, "another_program")


@planted(JOB)
def secrets_on_the_command_line(template):
    script = of(template, "JobDefinition")["ContainerProperties"]["Command"]["Fn::If"][2][2]
    script["Fn::Sub"] = script["Fn::Sub"].replace("-K -", "")


WILD = "nothing_is_allowed_by_wildcard"
allowing(WILD, "MoverOnArchive", "s3:*", "every_action")
allowing(WILD, "MoverOnLedger", "dynamodb:Batch*", "some_actions")
allowing(WILD, "MoverOnQueue", "sqs:SendMessage", "every_queue", resource="*")
setting(WILD, "MoverOnQueue", "PolicyDocument", "Statement", 0, "NotAction")(["sqs:DeleteQueue"], "all_but_one")

PUBLIC = "nothing_is_public"
setting(PUBLIC, "StagingBucketPolicy", "PolicyDocument", "Statement", 0, "Effect")("Allow", "a_bucket")
setting(PUBLIC, "UploaderRole", "AssumeRolePolicyDocument", "Statement", 0, "Principal")({"AWS": "*"}, "a_role")
setting(PUBLIC, "ApiMayInvokeUploads", "SourceArn")(None, "any_api")
setting("the_key_is_used_through_s3_and_dynamodb_only", "FunctionOnKey", "PolicyDocument", "Statement", 0, "Condition")(None, "by_itself")

setting("inline_policies_fit_into_their_role", "MoverOnStaging", "PolicyDocument", "Statement", 1, "Resource")([{"Fn::Sub": "${StagingBucket.Arn}/" + "x" * 100}] * 60, "too_long")

PACKAGED = "functions_are_what_is_packaged"
setting(PACKAGED, "Sweep", "Code", "S3Key")({"Fn::Sub": "${CodePrefix}/processor.zip"}, "the_wrong_zip")
setting(PACKAGED, "Uploads", "Role")({"Fn::GetAtt": ["ProcessorRole", "Arn"]}, "the_api_as_mover")
setting(PACKAGED, "Processor", "Runtime")("python3.9", "a_retired_runtime")
setting(PACKAGED, "Uploads", "LoggingConfig", "LogGroup")({"Ref": "SweepLog"}, "anothers_log")

BATCH = "one_failure_hands_back_one_wake_up"
setting(BATCH, "ProcessorMapping", "FunctionResponseTypes")(None, "all")
setting(BATCH, "ProcessorMapping", "ScalingConfig")(None, "no_bound")
setting(BATCH, "ProcessorMapping", "MaximumBatchingWindowInSeconds")(20, "waits")


@planted("staging_is_swept")
def by_nobody(template):
    del template["Resources"]["SweepSchedule"]


setting("staging_is_swept", "SweepSchedule", "State")("DISABLED", "switched_off")
setting("staging_is_swept", "SweepSchedule", "Target", "RetryPolicy", "MaximumRetryAttempts")(0, "tried_once")
setting("logs_end", "SweepLog", "RetentionInDays")(None, "never")

KNOWN = "every_call_of_the_api_is_by_somebody_known"
setting(KNOWN, "ApiRoute", "AuthorizationType")("NONE", "open")
setting(KNOWN, "ApiRoute", "AuthorizationType")({"Fn::If": ["HasJwt", "JWT", "NONE"]}, "open_by_default")
setting(KNOWN, "PageRoute", "RouteKey")("GET /{proxy+}", "a_page_route_over_the_api")

CALLS = "calls_of_the_api_are_bounded_and_logged_without_secrets"
setting(CALLS, "ApiStage", "DefaultRouteSettings")(None, "unbounded")
setting(CALLS, "ApiStage", "AccessLogSettings", "Format")('{"claims":"$context.authorizer.claims.email"}', "claims")

ALARMS = "alarms_watch_what_there_is"
setting(ALARMS, "OldestUnfinishedAlarm", "TreatMissingData")("notBreaching", "silent_without_sweeps")
setting(ALARMS, "OldestUnfinishedAlarm", "MetricName")("OldestUnfinished", "a_metric_nobody_puts")
setting(ALARMS, "OldestUnfinishedAlarm", "Period")(60, "rings_between_sweeps")
setting(ALARMS, "ProcessorErrorsAlarm", "Dimensions")([{"Name": "FunctionName", "Value": {"Ref": "WakeUps"}}], "errors_of_a_queue")
setting(ALARMS, "FailedUploadsAlarm", "AlarmActions")(None, "heard_by_nobody")


@planted(ALARMS)
def throttles_unwatched(template):
    del template["Resources"]["ProcessorThrottlesAlarm"]


@planted("the_dashboard_shows_what_there_is")
def a_metric_that_is_never_there(template):
    body = of(template, "Dashboard")["DashboardBody"]
    body["Fn::Sub"] = body["Fn::Sub"].replace('"Throttles"', '"Throttled"')


SAY = "parameters_say_what_they_are"


@planted(SAY)
def one_that_does_nothing(template):
    template["Parameters"]["Spare"] = {"Type": "String", "Default": "", "Description": "Nothing"}


@planted(SAY)
def one_without_a_default(template):
    del template["Parameters"]["BatchSize"]["Default"]


@planted(SAY)
def a_condition_that_does_nothing(template):
    template["Conditions"]["Spare"] = {"Fn::Equals": ["a", "a"]}


setting("all_that_takes_tags_is_tagged", "JobQueue", "Tags")(None, "one_is_not")


@planted("the_command_line_finds_its_way")
def without_the_ledger(template):
    del template["Outputs"]["LedgerTable"]


@pytest.mark.parametrize(("rule", "mistake"), PLANTED)
def test_the_rule_finds_it(rule, mistake):
    broken = copy.deepcopy(TEMPLATE)
    mistake(broken)
    assert broken != TEMPLATE
    assert list(RULES[rule](broken))


def test_every_rule_has_a_mistake_planted():
    assert set(RULES) == {entry.values[0] for entry in PLANTED}
