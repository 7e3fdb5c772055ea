"""What IAM itself says of the roles whose sessions are given away."""

import botocore.exceptions

from probes.stack import code


def check_roles(stack, report):
    """What each may. Nobody but the functions can take them."""
    staging, archive = stack.staging, stack.archive
    asked = {
        "UploaderRoleArn": [
            ("s3:PutObject", f"{staging}/a", True), ("s3:PutObject", f"{staging}/a/../b", False), ("s3:GetObject", f"{staging}/a", False),
            ("s3:DeleteObjectVersion", f"{staging}/a", False), ("s3:ListBucket", staging, False), ("s3:PutObject", f"{archive}/a", False),
        ],
        "FunctionRoleArn": [
            ("s3:GetObjectVersion", f"{staging}/a", True), ("s3:PutObject", f"{archive}/_results/a/v/x", True), ("s3:PutObject", f"{archive}/a", False),
            ("s3:DeleteObjectVersion", f"{staging}/a", False), ("s3:PutObject", f"{staging}/a", False), ("s3:GetObject", f"{archive}/a", False),
        ],
    }  # fmt: skip
    for name, questions in asked.items():
        claim = f"{name} may what it is for and no more"
        if name not in stack.outputs:
            report.skipped(claim, "this stack has none")
            continue
        iam, problems = stack.session.client("iam"), []
        partition = stack.outputs[name].split(":")[1]
        try:
            for action, resource, wanted in questions:
                said = iam.simulate_principal_policy(PolicySourceArn=stack.outputs[name], ActionNames=[action], ResourceArns=[f"arn:{partition}:s3:::{resource}"])
                if (said["EvaluationResults"][0]["EvalDecision"] == "allowed") != wanted:
                    problems.append(f"{action} on {resource}: {said['EvaluationResults'][0]['EvalDecision']}")
        except botocore.exceptions.ClientError as error:
            report.skipped(claim, f"iam:SimulatePrincipalPolicy: {code(error)}")
            continue
        report.claim(claim, problems)
