// The one base of every error that Tidelane raises on purpose: a stable code, whether trying again can help, and what to do.

export interface TidelaneErrorOptions {
  /** Stable and machine-readable, in snake_case, such as `insufficient_escrow`. */
  readonly code: string;
  /** True where the same call may succeed later without any change by the caller. */
  readonly retryable?: boolean;
  /** The values at fault; never prompt text, never keys. */
  readonly details?: Readonly<Record<string, string | number | boolean | null>>;
  readonly cause?: unknown;
}

export class TidelaneError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, string | number | boolean | null>>;

  constructor(message: string, options: TidelaneErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "TidelaneError";
    this.code = options.code;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

/** Somebody sent a value that does not fit its declared shape. */
export class InvalidValueError extends TidelaneError {
  constructor(path: string, expected: string, code = "invalid_value") {
    super(`${path}: expected ${expected}`, { code, details: { path, expected } });
    this.name = "InvalidValueError";
  }
}
