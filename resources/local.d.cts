export const LOCAL: 'local';
/** The endpoint variables of the services that the world stands for; of none, where there is no address. */
export function worldEndpoints(url?: string): Record<string, string>;
