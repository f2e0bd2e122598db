// What queueing theory says exactly: the yardsticks that the simulator is measured with.

/** Mean wait in queue of M/G/1 (Pollaczek, Khinchine), in units of the service time's mean. @param secondMoment of the service time over its squared mean; 2 for M/M/1 */
export const waitOfSingleServer = (utilisation: number, secondMoment = 2): number => (utilisation * secondMoment) / 2 / (1 - utilisation);

/** Probability to wait in M/M/c (Erlang 1917). @param offered load in servers */
export function erlangC(servers: number, offered: number): number {
  // Erlang B by its recursion, which neither overflows nor cancels.
  let blocked = 1;
  for (let n = 1; n <= servers; n++) blocked = (offered * blocked) / (n + offered * blocked);
  return (servers * blocked) / (servers - offered * (1 - blocked));
}

/** Mean wait in queue of M/M/c in units of the mean service time. */
export const waitOfServers = (servers: number, utilisation: number): number =>
  erlangC(servers, servers * utilisation) / (servers * (1 - utilisation));

/**
 * Share of servers with at least k jobs where each job joins the shorter of d queues drawn at random, for ever more servers
 * (Vvedenskaya, Dobrushin, Karpelevich 1996; Mitzenmacher 2001): rho^((d^k - 1) / (d - 1)).
 */
export const supermarketTail = (utilisation: number, choices: number, k: number): number =>
  utilisation ** (choices === 1 ? k : (choices ** k - 1) / (choices - 1));

/** Second moment over squared mean of the geometric distribution on 1, 2, ... */
export const geometricSecondMoment = (mean: number): number => 2 - 1 / mean;
