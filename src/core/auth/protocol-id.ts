/** The vendors that are spoken, as options name them, in the order in which an unknown gateway is asked. */
export const PROTOCOL_IDS = ['anyconnect', 'fortinet', 'f5', 'gp', 'nc', 'array', 'pulse'] as const;

export type ProtocolId = (typeof PROTOCOL_IDS)[number];
