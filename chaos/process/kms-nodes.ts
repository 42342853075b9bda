/** A KMS node as its operator runs it: what the compose file says, with `--fault` at the end of the command while it is to lie. */
import { writeFile } from "node:fs/promises"
import type { NodeFault } from "../../src/kms-node/fault.ts"
import type { Plan } from "../../tools/cluster/as-processes.ts"
import { surroundings } from "../../tools/cluster/programs.ts"
import { environmentFor, type Build } from "../builds.ts"
import type { RigEvent, Target } from "../rig.ts"
import { Child } from "./child.ts"
import { wordsFrom } from "./words-from.ts"

export class KmsNode {
  /** Newest last, and the newest is what counts: faults of one node may overlap. */
  readonly faults: Array<NodeFault> = []
  readonly answerLog: string
  private readonly plan: Plan
  private readonly child: Child

  constructor(name: Target, plan: Plan, note: (event: Omit<RigEvent, "atMs">) => void, build?: Build) {
    this.plan = plan
    this.answerLog = plan.environment["PORTCULLIS_KMS_ANSWER_LOG"] ?? ""
    this.child = new Child({
      name,
      command: () => {
        const fault = this.faults.at(-1)
        return [...wordsFrom(build, plan.words), ...(fault === undefined ? [] : ["--fault", fault])]
      },
      environment: () => ({ ...surroundings(), ...environmentFor(build, plan.environment) }),
      isReady: ({ msg }) => msg === "serving",
      onLine: () => {},
      onUnexpectedEnd: (how) => note({ node: name, kind: "ended", text: `ended by itself: ${how}` })
    })
  }

  /** It may run already. */
  start = (): Promise<void> => this.child.start()
  freeze = (): void => this.child.freeze()
  thaw = (): void => this.child.thaw()
  kill = (): Promise<void> => this.child.kill()
  drain = async (): Promise<void> => void (await this.child.drain())

  restart = async (): Promise<void> => {
    await this.kill()
    await this.start()
  }

  async setClock(offsetMs: number): Promise<void> {
    await writeFile(this.plan.environment["CHAOS_CLOCK_FILE"] ?? "", String(offsetMs))
  }
}
