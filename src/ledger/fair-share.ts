/**
 * Who of several members should own which partitions. Pure, and the same for everybody who sees the same: each member acts on its own part of
 * the answer only, so that members need not agree on anything but what the ledger shows them. Nobody moves what need not move.
 */

export interface ShareView {
  /** Those among whom the partitions are shared. */
  readonly members: ReadonlyArray<string>
  /** Who owns each partition at the moment; undefined: nobody. Owners need not be members: they may be leaving, or dead and not expired yet. */
  readonly owners: ReadonlyArray<string | undefined>
}

export interface ShareMoves {
  /** Free partitions that fall to this member. */
  readonly claim: ReadonlyArray<number>
  /** Its partitions that others should have. */
  readonly giveBack: ReadonlyArray<number>
}

/** `leaving`: partitions that `self` owns and is giving back already; they are the first that count as given back. */
export const fairShare = ({ members, owners }: ShareView, self: string, leaving: ReadonlyArray<number> = []): ShareMoves => {
  const mine = owners.flatMap((owner, partition) => (owner === self ? [partition] : []))
  if (!members.includes(self)) return { claim: [], giveBack: mine }
  const quotas = quotasOf({ members, owners })
  const surplus = Math.max(0, mine.length - quotas.get(self)!)
  const chosen = [...mine.filter((partition) => leaving.includes(partition)), ...mine.filter((partition) => !leaving.includes(partition)).toReversed()]
  return { claim: freeFor({ members, owners }, quotas, self), giveBack: chosen.slice(0, surplus).toSorted((a, b) => a - b) }
}

const heldBy = (owners: ShareView["owners"], member: string): number => owners.filter((owner) => owner === member).length

/**
 * Shares differ by one at most. Where they do, the larger ones go to those that own more than the smaller share already, so that least is moved,
 * and then by name: who has claimed its part must not come before who is still to claim a larger one, or that one would be left over.
 */
const quotasOf = ({ members, owners }: ShareView): ReadonlyMap<string, number> => {
  const all = [...new Set(members)]
  const [least, larger] = [Math.floor(owners.length / all.length), owners.length % all.length]
  const hasMore = new Set(all.filter((member) => heldBy(owners, member) > least))
  const ranked = all.toSorted((a, b) => Number(hasMore.has(b)) - Number(hasMore.has(a)) || (a < b ? -1 : 1))
  return new Map(ranked.map((member, rank) => [member, least + (rank < larger ? 1 : 0)]))
}

/** The free partitions, dealt out to whoever lacks some, the one that lacks most first: nobody races for them, and none is left over. */
const freeFor = ({ owners }: ShareView, quotas: ReadonlyMap<string, number>, self: string): ReadonlyArray<number> => {
  const free = owners.flatMap((owner, partition) => (owner === undefined ? [partition] : []))
  const lacking = [...quotas]
    .map(([member, quota]) => ({ member, lacks: quota - heldBy(owners, member) }))
    .filter(({ lacks }) => lacks > 0)
    .toSorted((a, b) => b.lacks - a.lacks || (a.member < b.member ? -1 : 1))
  for (const { member, lacks } of lacking) {
    const dealt = free.splice(0, lacks)
    if (member === self) return dealt
  }
  return []
}
