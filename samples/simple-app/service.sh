#!/usr/bin/env bash
# The sample application as a service of two tasks behind a load balancer, by the AWS CLI's own commands.
# Run it again and nothing changes. Needs `aws` and `miniecs` on the path, and what `miniecs env` exports.
set -euo pipefail
cd "$(dirname "$0")"

name=simple-app

if [ -z "$(aws ecs describe-clusters --clusters default --query "clusters[?status=='ACTIVE'].status" --output text)" ]; then
  echo "There is no cluster 'default': the sample service is left out."
  exit
fi
ours=$(aws ecs describe-services --services $name --query "services[?status=='ACTIVE'].serviceName" --output text)
if [ -z "$ours" ]; then
  vpc=$(aws ec2 describe-vpcs --filters Name=isDefault,Values=true --query 'Vpcs[0].VpcId' --output text)
  subnets=$(aws ec2 describe-subnets --filters Name=vpc-id,Values="$vpc" --query 'Subnets[:2].SubnetId' --output text)

  # Create calls give back what there is already, where it is the same.
  balancer=$(aws elbv2 create-load-balancer --name $name --subnets $subnets \
    --query 'LoadBalancers[0].LoadBalancerArn' --output text)
  group=$(aws elbv2 create-target-group --name $name --protocol HTTP --port 80 --vpc-id "$vpc" --target-type instance \
    --health-check-path /index.php --health-check-interval-seconds 5 --health-check-timeout-seconds 2 \
    --query 'TargetGroups[0].TargetGroupArn' --output text)
  # Five minutes by default: how long a task that is to stop may finish its requests.
  aws elbv2 modify-target-group-attributes --target-group-arn "$group" \
    --attributes Key=deregistration_delay.timeout_seconds,Value=10 >/dev/null
  listeners=$(aws elbv2 describe-listeners --load-balancer-arn "$balancer" --query 'Listeners[].Port' --output text)
  [ -n "$listeners" ] || aws elbv2 create-listener --load-balancer-arn "$balancer" --protocol HTTP --port 80 \
    --default-actions Type=forward,TargetGroupArn="$group" >/dev/null

  aws ecs register-task-definition --family $name \
    --cli-input-json file://simple-app-task-def-dynamic-port.json >/dev/null
  aws ecs create-service --service-name $name --task-definition $name --desired-count 2 --role ecsServiceRole \
    --load-balancers targetGroupArn="$group",containerName=simple-app,containerPort=80 >/dev/null
fi
miniecs deployments $name --until-stable >/dev/null
name_url=http://$(aws elbv2 describe-load-balancers --names $name --query 'LoadBalancers[0].DNSName' --output text)/

cat <<TEXT

The sample service, two tasks behind a load balancer:
  $(miniecs lb $name --url)    (also, for browsers and curl: $name_url)

Try next:
  . .venv/bin/activate && eval "\$(miniecs env)"
  miniecs lb $name
  aws ecs update-service --service $name --desired-count 3 --query service.desiredCount

\`make stop\` ends it all and removes its containers.
TEXT
