/** The dApp of the development world: encrypts values, registers handles, raises requests, and checks what comes back against what it put in. */
import { readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { randomBytes } from "node:crypto"
import { directoryUpload } from "../src/adapters/object-store/directory-upload.ts"
import { connect, type Encrypted, type PortcullisClient, type TransportSecret } from "../src/client/portcullis-client.ts"
import type { RequestState } from "../src/domain/journey.ts"
import type { World } from "./dev-world.ts"

export interface Raised {
  readonly requestId: string
  readonly what: "public" | "user" | "forbidden" | "tampered"
  /** The end it must come to. */
  readonly mustEnd: RequestState
  /** After `finalized`: whether what came back is what was encrypted. */
  readonly isPlaintextRight: () => Promise<boolean>
}

/** Long enough for a busy laptop; short enough that the tampered one does not keep anybody waiting. */
const DEADLINE_SECONDS = 600
const TAMPERED_DEADLINE_SECONDS = 10

export interface DevClient {
  readonly raise: (what: Raised["what"]) => Promise<Raised>
}

export const devClient = async (world: World): Promise<DevClient> => {
  const client = await connect({ gateway: world.contracts.decryptionGateway, signer: world.requester })
  const upload = directoryUpload(world.store.name, world.store.path)
  const prepare = async () => {
    const value = randomBytes(32)
    const encrypted = await client.encrypt(value)
    const location = await upload.put(encrypted.digest, encrypted.ciphertext)
    await client.register(encrypted, [location])
    return { value, encrypted }
  }
  return {
    raise: async (what) => {
      const { value, encrypted } = await prepare()
      const { handle } = encrypted
      switch (what) {
        case "public": {
          await client.allowForDecryption(handle)
          const { requestId } = await client.requestPublic([handle], { deadlineSeconds: DEADLINE_SECONDS })
          return { requestId, what, mustEnd: "finalized", isPlaintextRight: () => isPublicRight(client, requestId, value) }
        }
        case "user": {
          await client.allow(handle, encrypted.owner)
          const { requestId, transport } = await client.requestUser([handle], { deadlineSeconds: DEADLINE_SECONDS })
          return { requestId, what, mustEnd: "finalized", isPlaintextRight: () => isUserRight(client, requestId, transport, encrypted, value) }
        }
        case "forbidden": {
          const { requestId } = await client.requestPublic([handle], { deadlineSeconds: DEADLINE_SECONDS })
          return { requestId, what, mustEnd: "refused", isPlaintextRight: async () => true }
        }
        case "tampered": {
          await spoil(world.store.path, encrypted)
          await client.allowForDecryption(handle)
          const { requestId } = await client.requestPublic([handle], { deadlineSeconds: TAMPERED_DEADLINE_SECONDS })
          return { requestId, what, mustEnd: "expired", isPlaintextRight: async () => true }
        }
      }
    }
  }
}

const isPublicRight = async (client: PortcullisClient, requestId: string, value: Uint8Array): Promise<boolean> => {
  const result = await client.waitForResult(requestId, { timeoutMs: 10_000 })
  return result.type === "fulfilled" && isSame(result.items, value)
}

const isUserRight = async (
  client: PortcullisClient,
  requestId: string,
  transport: TransportSecret,
  encrypted: Encrypted,
  value: Uint8Array
): Promise<boolean> => {
  const result = await client.waitForResult(requestId, { timeoutMs: 10_000 })
  return result.type === "fulfilled" && isSame(await client.openUserResult(result, transport, [encrypted.ciphertext]), value)
}

const isSame = (items: ReadonlyArray<Uint8Array>, value: Uint8Array): boolean =>
  items.length === 1 && items[0] !== undefined && Buffer.compare(items[0], value) === 0

/** Flips the last bit of the stored object, whatever its name: the bytes are there, and they are wrong. */
const spoil = async (store: string, { digest }: Encrypted): Promise<void> => {
  const files = await readdir(store, { recursive: true })
  const name = files.find((file) => file.includes(digest.slice(2)))
  if (name === undefined) throw new TypeError("the store does not have what was just put there")
  const bytes = await readFile(join(store, name))
  bytes[bytes.length - 1]! ^= 1
  await writeFile(join(store, name), bytes)
}
