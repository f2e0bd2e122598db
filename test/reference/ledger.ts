// The settlement ledger told a second time, from the protocol's words and not from the contract: plain sums and whole histories.
// Each operation answers with the error that the contract must give, or null after it has happened.

export interface Refusal {
  readonly error: string;
  readonly values: readonly (bigint | string)[];
}

export interface ModelSession {
  readonly payer: number;
  readonly relayerId: bigint;
  readonly isAllowance: boolean;
  readonly maxTotal: bigint;
  readonly maxPerDay: bigint;
  readonly validUntil: bigint;
  closingAt: bigint;
  lock: bigint;
  charged: bigint;
  provenCap: bigint;
  forced: bigint;
  reserved: bigint;
  voidedCharge: bigint;
  bucketLevel: bigint;
  bucketAt: bigint;
}

export interface ModelTab {
  readonly earned: History;
  provenEarned: bigint;
  forcedEarned: bigint;
  voidedEarned: bigint;
  claimed: bigint;
}

export interface ModelRelayer {
  readonly debited: History;
  readonly fees: History;
  feesVoided: bigint;
  feesClaimed: bigint;
}

export interface DebitWish {
  readonly sessionId: string;
  readonly change: bigint;
  /** 0 where no voucher travels along. */
  readonly cap: bigint;
  readonly isSigned: boolean;
}

export interface CreditWish {
  readonly nodeId: bigint;
  readonly change: bigint;
  readonly cumulative: bigint;
  readonly isSigned: boolean;
}

const DAY = 86_400n;
const MOST_FEE_OF_CREDIT = 10n;
const no = (error: string, ...values: (bigint | string)[]): Refusal => ({ error, values });
const min = (...all: bigint[]): bigint => all.reduce((least, one) => (one < least ? one : least));
const above0 = (amount: bigint): bigint => (amount > 0n ? amount : 0n);

/** What was added in which period. An amount matures when a whole period lies between its own and the present one. */
export class History {
  private old = 0n;
  private recent: { readonly period: bigint; readonly amount: bigint }[] = [];
  private readonly periodSeconds: bigint;

  constructor(periodSeconds: bigint) {
    this.periodSeconds = periodSeconds;
  }

  add(amount: bigint, now: bigint): void {
    this.matured(now);
    this.recent.push({ period: now / this.periodSeconds, amount });
  }

  total(): bigint {
    return this.recent.reduce((sum, { amount }) => sum + amount, this.old);
  }

  matured(now: bigint): bigint {
    const isOld = ({ period }: { period: bigint }): boolean => period + 2n <= now / this.periodSeconds;
    for (const one of this.recent.filter(isOld)) this.old += one.amount;
    this.recent = this.recent.filter((one) => !isOld(one));
    return this.old;
  }
}

export class LedgerModel {
  now = 0n;
  tracked = 0n;
  readonly free: bigint[];
  readonly sessions = new Map<string, ModelSession>();
  readonly tabs = new Map<string, ModelTab>();
  readonly relayers = new Map<bigint, ModelRelayer>();
  readonly bonds = new Map<bigint, bigint>();
  private readonly revoked = new Set<string>();
  private pot = 0n;
  private readonly window: bigint;
  private readonly leverage: bigint;

  constructor(payers: number, windowSeconds: bigint, leverage: bigint) {
    this.free = Array<bigint>(payers).fill(0n);
    this.window = windowSeconds;
    this.leverage = leverage;
  }

  tab(relayerId: bigint, nodeId: bigint): ModelTab {
    const key = `${relayerId}/${nodeId}`;
    if (!this.tabs.has(key)) this.tabs.set(key, { earned: new History(3n * this.window), provenEarned: 0n, forcedEarned: 0n, voidedEarned: 0n, claimed: 0n });
    return this.tabs.get(key)!;
  }

  relayer(id: bigint): ModelRelayer {
    if (!this.relayers.has(id)) this.relayers.set(id, { debited: new History(3n * this.window), fees: new History(7n * this.window), feesVoided: 0n, feesClaimed: 0n });
    return this.relayers.get(id)!;
  }

  potLeft(): bigint {
    return this.pot;
  }

  // ---- payers

  deposit(payer: number, amount: bigint): Refusal | null {
    if (amount === 0n) return no("ZeroAmount");
    this.free[payer]! += amount;
    this.tracked += amount;
    return null;
  }

  withdraw(payer: number, address: string, amount: bigint): Refusal | null {
    if (amount === 0n) return no("ZeroAmount");
    if (amount > this.free[payer]!) return no("InsufficientBalance", address, this.free[payer]!, amount);
    this.free[payer]! -= amount;
    this.tracked -= amount;
    return null;
  }

  open(id: string, address: string, wish: Pick<ModelSession, "payer" | "relayerId" | "isAllowance" | "maxTotal" | "maxPerDay" | "validUntil" | "lock">, validAfter: bigint): Refusal | null {
    if (this.sessions.has(id)) return no("SessionExists", id);
    if (this.revoked.has(`${wish.payer}/${id}`)) return no("SessionIsRevoked", id);
    if (this.now < validAfter || this.now >= wish.validUntil) return no("AuthorizationNotValidNow", id, validAfter, wish.validUntil, this.now);
    if (wish.lock > this.free[wish.payer]!) return no("InsufficientBalance", address, this.free[wish.payer]!, wish.lock);
    this.free[wish.payer]! -= wish.lock;
    this.sessions.set(id, {
      ...wish, closingAt: 0n, charged: 0n, provenCap: wish.isAllowance ? wish.maxTotal : 0n, forced: 0n, reserved: 0n, voidedCharge: 0n,
      bucketLevel: 2n * wish.maxPerDay, bucketAt: this.now,
    });
    return null;
  }

  topUp(id: string, payer: number, address: string, amount: bigint): Refusal | null {
    const session = this.sessions.get(id);
    if (!session) return no("UnknownSession", id);
    if (session.payer !== payer) return no("NotPayer", id, address);
    if (amount === 0n) return no("ZeroAmount");
    if (this.closingSince(session) !== 0n) return no("SessionIsClosing", id, this.closingSince(session));
    if (amount > this.free[payer]!) return no("InsufficientBalance", address, this.free[payer]!, amount);
    this.free[payer]! -= amount;
    session.lock += amount;
    return null;
  }

  revoke(id: string, payer: number): null {
    this.revoked.add(`${payer}/${id}`);
    const session = this.sessions.get(id);
    if (session?.payer === payer && this.closingSince(session) === 0n) session.closingAt = this.now;
    return null;
  }

  close(id: string, payer: number, address: string): Refusal | null {
    const session = this.sessions.get(id);
    if (!session) return no("UnknownSession", id);
    if (session.payer !== payer) return no("NotPayerOrPoster", id, address);
    if (this.closingSince(session) !== 0n) return no("SessionIsClosing", id, this.closingSince(session));
    session.closingAt = this.now;
    return null;
  }

  release(id: string): Refusal | null {
    const session = this.sessions.get(id);
    if (!session) return no("UnknownSession", id);
    const since = this.closingSince(session);
    if (since === 0n) return no("SessionNotClosing", id);
    if (this.now < since + 3n * this.window) return no("LockNotReleasable", id, since + 3n * this.window);
    const kept = spentOf(session) + session.reserved;
    if (session.lock <= kept) return no("NothingToRelease", id);
    this.free[session.payer]! += session.lock - kept;
    session.lock = kept;
    return null;
  }

  closingSince(session: ModelSession): bigint {
    if (session.closingAt !== 0n) return session.closingAt;
    return this.now >= session.validUntil ? session.validUntil : 0n;
  }

  bucketLevel(session: ModelSession): bigint {
    return min(session.bucketLevel + (session.maxPerDay * (this.now - session.bucketAt)) / DAY, 2n * session.maxPerDay);
  }

  // ---- batches

  /** Items ascend and the totals are those of the items: what is tried is the money. */
  settle(relayerId: bigint, debits: readonly DebitWish[], credits: readonly CreditWish[]): Refusal | null {
    for (const debit of debits) {
      const refused = this.refusedDebit(relayerId, debit);
      if (refused) return refused;
    }
    for (const credit of credits) {
      const refused = this.refusedCredit(relayerId, credit);
      if (refused) return refused;
    }
    const [debited, credited] = [debits, credits].map((items) => items.reduce((sum, { change }) => sum + change, 0n)) as [bigint, bigint];
    const refused = this.refusedTotals(relayerId, debited, credited);
    if (refused) return refused;
    for (const debit of debits) this.debit(debit);
    for (const credit of credits) {
      const tab = this.tab(relayerId, credit.nodeId);
      tab.earned.add(credit.change, this.now);
      if (credit.cumulative > tab.provenEarned) tab.provenEarned = credit.cumulative;
    }
    this.relayer(relayerId).debited.add(debited, this.now);
    this.relayer(relayerId).fees.add(debited - credited, this.now);
    return null;
  }

  private refusedDebit(relayerId: bigint, { sessionId, change, cap, isSigned }: DebitWish): Refusal | null {
    const session = this.sessions.get(sessionId);
    if (session?.relayerId !== relayerId) return no("SessionOfOtherRelayer", sessionId, session?.relayerId ?? 0n, relayerId);
    if (change === 0n) return no("ZeroChange", BigInt(sessionId));
    if (cap > session.provenCap && session.isAllowance) return no("VoucherNotAccepted", sessionId, 1n);
    if (cap > session.provenCap && !isSigned) return no("VoucherSignatureInvalid");
    const wanted = session.charged + session.forced + change;
    const proven = provenAfter(session, cap);
    if (wanted > proven) return no("ChargeAboveProvenCap", sessionId, wanted, proven);
    if (wanted > session.lock) return no("ChargeAboveLock", sessionId, wanted, session.lock);
    const level = this.bucketLevel(session);
    return session.isAllowance && change > level ? no("ChargeAboveBucket", sessionId, change, level) : null;
  }

  private refusedCredit(relayerId: bigint, { nodeId, change, cumulative, isSigned }: CreditWish): Refusal | null {
    const tab = this.tab(relayerId, nodeId);
    if (change === 0n) return no("ZeroChange", nodeId);
    if (cumulative > tab.provenEarned && !isSigned) return no("ReceiptSignatureInvalid");
    const [wanted, proven] = [tab.earned.total() + change, cumulative > tab.provenEarned ? cumulative : tab.provenEarned];
    return wanted > proven ? no("CreditAboveProvenEarned", relayerId, nodeId, wanted, proven) : null;
  }

  private refusedTotals(relayerId: bigint, debited: bigint, credited: bigint): Refusal | null {
    if (credited > debited) return no("CreditAboveDebit", debited, credited);
    const [fee, most] = [debited - credited, credited / MOST_FEE_OF_CREDIT];
    if (fee > most) return no("FeeAboveLimit", fee, most);
    const { debited: all } = this.relayer(relayerId);
    const unmatured = all.total() - all.matured(this.now) + debited;
    const bound = this.leverage * (this.bonds.get(relayerId) ?? 0n);
    return unmatured > bound ? no("LeverageExceeded", relayerId, unmatured, bound) : null;
  }

  private debit({ sessionId, change, cap }: DebitWish): void {
    const session = this.sessions.get(sessionId)!;
    session.provenCap = provenAfter(session, cap);
    session.charged += change;
    if (session.isAllowance) this.draw(session, change);
  }

  private draw(session: ModelSession, amount: bigint): void {
    session.bucketLevel = this.bucketLevel(session) - amount;
    session.bucketAt = this.now;
  }

  // ---- claims

  claimableTab(relayerId: bigint, nodeId: bigint): bigint {
    const tab = this.tab(relayerId, nodeId);
    return above0(tab.earned.matured(this.now) + tab.forcedEarned - tab.voidedEarned - tab.claimed);
  }

  claimTab(relayerId: bigint, nodeId: bigint): Refusal | null {
    const amount = this.claimableTab(relayerId, nodeId);
    if (amount === 0n) return no("NothingMatured", nodeId);
    this.tab(relayerId, nodeId).claimed += amount;
    this.tracked -= amount;
    return null;
  }

  claimFee(relayerId: bigint): Refusal | null {
    const own = this.relayer(relayerId);
    const amount = above0(own.fees.matured(this.now) - own.feesVoided - own.feesClaimed);
    if (amount === 0n) return no("NothingMatured", relayerId);
    own.feesClaimed += amount;
    this.tracked -= amount;
    return null;
  }

  // ---- forces and fraud

  /** @returns how much of the lock is held. */
  hold(id: string, amount: bigint, cap: bigint): bigint {
    const session = this.sessions.get(id)!;
    if (!session.isAllowance) session.provenCap = provenAfter(session, cap);
    const held = min(amount, session.lock - spentOf(session));
    session.reserved += held;
    return held;
  }

  payForce(id: string, nodeId: bigint, held: bigint, due: bigint): null {
    const session = this.sessions.get(id)!;
    session.reserved -= held;
    const spent = spentOf(session);
    const paid = min(due, session.lock - spent, session.provenCap - spent, ...(session.isAllowance ? [this.bucketLevel(session)] : []));
    if (session.isAllowance && due > 0n) this.draw(session, paid);
    session.forced += paid;
    if (paid > 0n) this.tab(session.relayerId, nodeId).forcedEarned += paid;
    return null;
  }

  fundTab(relayerId: bigint, nodeId: bigint, amount: bigint): null {
    this.tracked += amount;
    this.tab(relayerId, nodeId).forcedEarned += amount;
    return null;
  }

  voidTab(relayerId: bigint, nodeId: bigint, amount: bigint): null {
    const tab = this.tab(relayerId, nodeId);
    const taken = min(amount, above0(tab.earned.total() + tab.forcedEarned - tab.voidedEarned - tab.claimed));
    tab.voidedEarned += taken;
    this.pot += taken;
    return null;
  }

  voidFees(relayerId: bigint, amount: bigint): null {
    const own = this.relayer(relayerId);
    const taken = min(amount, above0(own.fees.total() - own.feesVoided - own.feesClaimed));
    own.feesVoided += taken;
    this.pot += taken;
    return null;
  }

  giveBack(id: string, amount: bigint): null {
    const session = this.sessions.get(id)!;
    const given = min(amount, this.pot, session.charged - session.voidedCharge);
    session.voidedCharge += given;
    this.pot -= given;
    return null;
  }
}

const spentOf = ({ charged, forced, voidedCharge }: ModelSession): bigint => charged + forced - voidedCharge;

/** The voucher with the greatest cap counts, up to the session's total. */
function provenAfter({ provenCap, maxTotal }: ModelSession, cap: bigint): bigint {
  const capped = min(cap, maxTotal);
  return capped > provenCap ? capped : provenCap;
}
