/** Opens a channel of the policy: its secret, and its adapter, loaded when first used. */
import type { ChannelConfig } from '../core/channels.ts';
import type { Channel } from '../core/letter.ts';

export interface OpenOptions {
  readonly secret: (id: string) => Promise<string>;
  /** The sandbox's webhooks are on this machine. */
  readonly loopback: boolean;
}

export const openChannel =
  ({ secret, loopback }: OpenOptions) =>
  async (name: string, config: ChannelConfig): Promise<Channel> => {
    switch (config.type) {
      case 'slack': {
        const { slack } = await import('../channels/slack.ts');
        return slack(name, { channel: config.channel, secret: await secret(config.secret) });
      }
      case 'webhook': {
        const { webhook } = await import('../channels/webhook.ts');
        return webhook(name, { url: config.url, secret: await secret(config.secret) }, { loopback });
      }
      case 'pagerduty': {
        const { pagerDuty } = await import('../channels/pagerDuty.ts');
        return pagerDuty(name, { region: config.region, secret: await secret(config.secret) });
      }
      case 'sns': {
        const { snsTopic } = await import('../aws/topics.ts');
        return snsTopic(name, config.topic, { region: config.topic.split(':')[3] ?? '' });
      }
    }
  };
