/** The services that the world has. A new one is a line here and a file with its behaviours. */
import { autoScalingService } from './autoscaling.ts';
import { cloudTrailService } from './cloudtrail.ts';
import { cloudWatchService } from './cloudwatch.ts';
import { ec2Service } from './ec2.ts';
import { ecrService } from './ecr.ts';
import { ecsService } from './ecsService.ts';
import { elbService } from './elb.ts';
import { healthService } from './health.ts';
import { kmsService } from './kms.ts';
import { logsService } from './logs.ts';
import { s3Service } from './s3.ts';
import type { Service } from './service.ts';
import { applicationAutoScalingService } from './serviceScaling.ts';
import { ssmService } from './ssm.ts';
import { stsService } from './sts.ts';
import { wafService } from './waf.ts';

export const services: readonly Service[] = [
  ec2Service,
  ssmService,
  cloudWatchService,
  cloudTrailService,
  autoScalingService,
  applicationAutoScalingService,
  ecsService,
  ecrService,
  elbService,
  logsService,
  stsService,
  s3Service,
  kmsService,
  healthService,
  wafService,
];
