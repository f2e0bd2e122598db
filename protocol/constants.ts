// The numbers that signed structs carry in their uint8 fields. Zero is never a valid role, status or reason.

/** REQUEST: a contract asked through InferenceGateway, which stands for the payer's word. */
export const Mode = { VOUCHER: 0, ALLOWANCE: 1, REQUEST: 2 } as const;
export const Tier = { DEFAULT: 0, PRIORITY: 1, FLEX: 2 } as const;
export const Role = { GENERATE: 1, EMBED: 2 } as const;
export const Status = { COMPLETE: 1, ABORTED: 2, CANCELLED: 3 } as const;

/** Why a node signs that it does not take an assignment. */
export const RefusalReason = {
  /** Every slot is taken. */ FULL: 1,
  /** The node is shutting down. */ DRAINING: 2,
  /** The model is not served here. */ MODEL: 3,
  /** The payer's evidence (lock, authorization, voucher, price) does not hold. */ UNPAID: 4,
  /** Prompt and output exceed the context window, or a parameter is not supported. */ INPUT: 5,
  /** This relayer owes too many acks. */ UNACKED: 6,
  /** The assignment is expired, from the future, or not the registered relayer's. */ ASSIGNMENT: 7,
} as const;

export type ModeValue = (typeof Mode)[keyof typeof Mode];
export type TierValue = (typeof Tier)[keyof typeof Tier];
export type RoleValue = (typeof Role)[keyof typeof Role];
export type StatusValue = (typeof Status)[keyof typeof Status];
export type RefusalReasonValue = (typeof RefusalReason)[keyof typeof RefusalReason];
