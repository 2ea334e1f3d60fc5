"""Asks a world what the test expects; prints one JSON object. Arguments: its URL and an instance's id."""

import json
import sys
import time
import urllib.request
from datetime import datetime, timedelta, timezone

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

url, instance_id = sys.argv[1:3]


def client(name, **credentials):
    keys = credentials or {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(name, region_name="eu-central-1", endpoint_url=url, config=config, **keys)


def failure(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]]
    return ["no error", 200]


ec2, ssm, cloudwatch, sts = client("ec2"), client("ssm"), client("cloudwatch"), client("sts")
seen = {}

pages = ec2.get_paginator("describe_instances").paginate(
    Filters=[{"Name": "tag:steward:managed", "Values": ["true"]}], PaginationConfig={"PageSize": 5}
)
seen["instances by tag, in pages"] = sum(len(r["Instances"]) for page in pages for r in page["Reservations"])
seen["a missing instance"] = failure(ec2.describe_instances, InstanceIds=["i-00000000000000000"])

volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}])["Volumes"]
data = max(volumes, key=lambda volume: volume["Size"])
seen["a dry run"] = failure(ec2.modify_volume, VolumeId=data["VolumeId"], Size=60, DryRun=True)
change = ec2.modify_volume(VolumeId=data["VolumeId"], Size=60)["VolumeModification"]
seen["the volume grows"] = [change["OriginalSize"], change["TargetSize"]]
seen["and only once at a time"] = failure(ec2.modify_volume, VolumeId=data["VolumeId"], Size=70)[0]

modified = ec2.describe_volumes_modifications(Filters=[{"Name": "volume-id", "Values": [data["VolumeId"]]}])
seen["the modification"] = [m["TargetSize"] for m in modified["VolumesModifications"]]

asked = [{"Key": "InstanceIds", "Values": [instance_id]}]
agents = ssm.describe_instance_information(Filters=asked)["InstanceInformationList"]
seen["the agent"] = [agent["PingStatus"] for agent in agents]
command = ssm.send_command(DocumentName="steward-inspect-disk", InstanceIds=[instance_id])["Command"]
for _ in range(100):
    time.sleep(0.1)
    try:
        result = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=instance_id)
    except ssm.exceptions.InvocationDoesNotExist:
        continue
    if result["Status"] not in ("Pending", "InProgress"):
        break
seen["the command"] = [result["Status"], json.loads(result["StandardOutputContent"])["os"]]

ssm.put_parameter(Name="/a", Value="1", Type="String")
refused = failure(ssm.put_parameter, Name="/a", Value="2", Type="String")[0]
version = ssm.put_parameter(Name="/a", Value="b & <c>", Type="String", Overwrite=True)["Version"]
seen["the parameter"] = [refused, version, ssm.get_parameter(Name="/a")["Parameter"]["Value"]]

alarms = cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
seen["alarms in ALARM"] = [alarm["AlarmName"] for alarm in alarms]
now = alarms[0]["StateUpdatedTimestamp"].astimezone(timezone.utc)
metric = {"Namespace": alarms[0]["Namespace"], "MetricName": alarms[0]["MetricName"], "Dimensions": alarms[0]["Dimensions"]}
answer = cloudwatch.get_metric_data(
    StartTime=now - timedelta(hours=1),
    EndTime=now + timedelta(hours=1),
    MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}],
)["MetricDataResults"][0]
seen["the metric"] = [answer["Values"][0] > 90 and isinstance(answer["Timestamps"][0], datetime), answer["StatusCode"]]
wanted = [{"Name": "InstanceId", "Value": instance_id}, {"Name": "path", "Value": "/srv"}]
found = cloudwatch.list_metrics(Namespace="CWAgent", MetricName="disk_used_percent", Dimensions=wanted)["Metrics"]
seen["the metric's names"] = [sorted(d["Name"] for d in m["Dimensions"]) for m in found]
tags = cloudwatch.list_tags_for_resource(ResourceARN=alarms[0]["AlarmArn"])["Tags"]
seen["the alarm's tags"] = {tag["Key"]: tag["Value"] for tag in tags}
seen["an unknown alarm"] = failure(cloudwatch.delete_alarms, AlarmNames=["none"])

seen["the caller"] = sts.get_caller_identity()["Arn"]
session = sts.assume_role(RoleArn="arn:aws:iam::111122223333:role/remedy", RoleSessionName="python")["Credentials"]
seen["the session"] = client(
    "sts",
    aws_access_key_id=session["AccessKeyId"],
    aws_secret_access_key=session["SecretAccessKey"],
    aws_session_token=session["SessionToken"],
).get_caller_identity()["Arn"]

presigned = sts.generate_presigned_url("get_caller_identity", HttpMethod="GET")
with urllib.request.urlopen(presigned) as reply:
    seen["a presigned identity"] = b":root</Arn>" in reply.read()

print(json.dumps(seen))
