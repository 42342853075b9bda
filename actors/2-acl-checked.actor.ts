/** detected -> acl-checked, for every request in a piece of work at once. */
import { Effect } from "effect"
import { checkAcl } from "../src/journey/2-acl-checked/check-acl.ts"
import { settle } from "./runtime/outcome-of-failure.ts"
import { stepActor } from "./runtime/step-actor.ts"

export const aclCheckedActor = (concurrency: number) =>
  stepActor("detected", concurrency, (requests) =>
    Effect.forEach(requests, (request) => settle(checkAcl(request), request), { concurrency: "unbounded" })
  )
