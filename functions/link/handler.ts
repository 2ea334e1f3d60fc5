import { MetricUnit } from '@aws-lambda-powertools/metrics';
import type { LambdaFunctionURLEvent } from 'aws-lambda';
import { onEvent, type Telemetry } from '../../shared/runtime/lambda.ts';
import { answerHttp, type DoorDeps } from '../../shared/runtime/links/door.ts';
import type { HttpAnswer } from '../../shared/runtime/links/http.ts';

const bodyOf = ({ body = '', isBase64Encoded }: LambdaFunctionURLEvent): string =>
  isBase64Encoded ? Buffer.from(body, 'base64').toString('utf8') : body;

/** Anybody's request, by the function's URL. The request is not logged: it carries a link. What came of it is, and from where it came. */
export const makeHandler = (deps: DoorDeps, { logger, metrics }: Telemetry) =>
  onEvent({ logger, metrics }, async (event: LambdaFunctionURLEvent): Promise<HttpAnswer> => {
    const { method, path, sourceIp } = event.requestContext.http;
    const request = { method, path, query: event.rawQueryString, headers: event.headers, body: bodyOf(event) };
    const [answer, told] = await answerHttp(request, deps);
    const { say, ...rest } = told;
    const fields = { ...rest, from: sourceIp };
    if (told.what === 'shown' || told.what === 'answered') logger.info(say, fields);
    else {
      logger.warn(say, fields);
      metrics.addMetric('LinkRefused', MetricUnit.Count, 1);
    }
    return answer;
  });
