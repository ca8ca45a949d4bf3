// A SCIM service provider with SCIMMY, as a target of Muster. Arguments: a port, a token and the file with the users.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const [port, token, file] = process.argv.slice(2);

const users = new Map(existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : []);
// Replaces the file, which stays complete if the process is killed.
const save = () => {
  writeFileSync(`${file}.new`, JSON.stringify([...users]));
  renameSync(`${file}.new`, file);
};
const missing = () => new SCIMMY.Types.Error(404, null, "There is no such user");

SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false);
SCIMMY.Resources.declare(SCIMMY.Resources.User)
  .ingress(async (resource, data) => {
    const id = resource.id ?? crypto.randomUUID();
    if (resource.id && !users.has(id)) throw missing();
    const isOther = ([other, user]) => other !== id && user.userName.toLowerCase() === data.userName.toLowerCase();
    if ([...users].some(isOther)) throw new SCIMMY.Types.Error(409, "uniqueness", "The user name is taken");
    users.set(id, { ...JSON.parse(JSON.stringify(data)), id });
    save();
    return users.get(id);
  })
  .egress(async (resource) => {
    if (!resource.id) return resource.filter?.match([...users.values()]) ?? [...users.values()];
    if (!users.has(resource.id)) throw missing();
    return users.get(resource.id);
  })
  .degress(async (resource) => {
    if (!users.delete(resource.id)) throw missing();
    save();
  });

const app = express();
app.use("/scim/v2", new SCIMMYRouters({
  type: "bearer",
  handler: (request) => {
    if (request.header("Authorization") !== `Bearer ${token}`) throw new Error("invalid token");
    return "muster";
  },
}));
// All users at once, for the test.
app.get("/all", (_, response) => response.json({ Resources: [...users.values()] }));
app.listen(Number(port), "127.0.0.1", () => console.log("listening"));
