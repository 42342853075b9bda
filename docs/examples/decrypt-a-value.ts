import { connect, decodePublicResult, type CiphertextUpload } from "portcullis/client"
import type { Signer } from "ethers"

/** Encrypts two values: one that everybody may learn in the end, and one that only its owner ever reads. */
export const decryptAValue = async (signer: Signer, gateway: string, upload: CiphertextUpload) => {
  const portcullis = await connect({ signer, gateway })

  // Encrypt here, store the ciphertexts where gateways read, and register their handles on chain.
  const bid = await portcullis.encrypt(new TextEncoder().encode("my bid: 42"))
  await portcullis.register(bid, [await upload.put(bid.digest, bid.ciphertext)])
  const note = await portcullis.encrypt(new TextEncoder().encode("for my eyes only"))
  await portcullis.register(note, [await upload.put(note.digest, note.ciphertext)])

  // Public: say that the bid may be opened, ask, and read the plaintext that the contract has verified.
  await portcullis.allowForDecryption(bid.handle)
  const opening = await portcullis.requestPublic([bid.handle], { deadlineSeconds: 600 })
  const opened = await portcullis.waitForResult(opening.requestId)
  if (opened.type !== "fulfilled") throw new Error(`not opened: ${opened.type}, ${opened.denial ?? "no objection"}`)
  await portcullis.verifyResult(opened) // optional: proves that the committee attested it, whatever the RPC endpoint says
  const [bidPlaintext] = decodePublicResult(opened)

  // For me alone: the result on chain is a key that only the transport secret can open.
  const asking = await portcullis.requestUser([note.handle])
  using transport = asking.transport // overwritten when this function ends
  const answer = await portcullis.waitForResult(asking.requestId)
  if (answer.type !== "fulfilled") throw new Error(`not answered: ${answer.type}, ${answer.denial ?? "no objection"}`)
  const [notePlaintext] = await portcullis.openUserResult(answer, transport, [note.ciphertext])

  return [bidPlaintext, notePlaintext].map((bytes) => new TextDecoder().decode(bytes))
}
