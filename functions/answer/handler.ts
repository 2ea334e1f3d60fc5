import { type AnswerDeps, answer, type Done, type Reply } from '../../shared/runtime/answer.ts';
import { onEvent, type Telemetry } from '../../shared/runtime/lambda.ts';

/** Invoked by the CLI, by no one else. The request is not logged: it carries a signature. What was done, and by whom, is. */
export const makeHandler = (deps: AnswerDeps, telemetry: Telemetry) =>
  onEvent(telemetry, async (event: unknown): Promise<Reply> => {
    const reply = await answer(event, deps);
    if (!reply.ok) telemetry.logger.warn(reply.message, { kind: reply.kind });
    else if ('by' in reply.result) {
      // A link is as good as a yes: it is not logged.
      const { links: _, ...told } = reply.result as Done;
      telemetry.logger.info('a person commanded', told);
    }
    return reply;
  });
