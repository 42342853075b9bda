/** A KMS node's own answer log, line by line: what it gave out to whom. Lines that are torn or about something else are passed over. */
import { createReadStream } from "node:fs"
import { createInterface } from "node:readline"
import type { NodeId } from "../../src/domain/committee.ts"
import { parseHex } from "../../src/domain/hex.ts"
import type { NodeRecords } from "./records.ts"

export const readNodeLog = async (node: NodeId, path: string): Promise<NodeRecords> => {
  const answers: Array<NodeRecords["answers"][number]> = []
  for await (const line of createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Number.POSITIVE_INFINITY })) {
    const answer = shareIn(line)
    if (answer !== undefined) answers.push(answer)
  }
  return { node, answers }
}

const shareIn = (line: string): NodeRecords["answers"][number] | undefined => {
  try {
    const { type, requestId, atMs } = JSON.parse(line) as Readonly<Record<string, unknown>>
    if (type !== "share" || typeof requestId !== "string" || parseHex(requestId, 32) === undefined || typeof atMs !== "number") return undefined
    return { requestId: requestId as NodeRecords["answers"][number]["requestId"], atMs }
  } catch {
    return undefined
  }
}
