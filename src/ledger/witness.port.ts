/** Remembers outside the database how far it had come: for a gateway that starts when nobody is left who has seen it. */
import { Context, Effect } from "effect"
import type { Standing } from "./standing.ts"

/** What is lost within this time, together with every gateway that had seen it, is only found where the chain knows of it. */
export const REMEMBER_EVERY_MS = 5_000

export class Witness extends Context.Service<
  Witness,
  {
    /** The newest that was remembered by anybody; null when there is none, or when it cannot be asked: nothing is taken on trust then. */
    readonly recall: Effect.Effect<Standing | null>
    /** May fail in silence: what is remembered is only older then. Answers the word that this one takes the place of, where it is known. */
    readonly remember: (standing: Standing) => Effect.Effect<Standing | null>
  }
>()("portcullis/ledger/Witness") {}

/** For a gateway that runs alone: there is no place outside. */
export const noWitness: Witness["Service"] = { recall: Effect.succeed(null), remember: () => Effect.succeed(null) }
