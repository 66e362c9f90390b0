// /api/v1/rules: which hosts are sent to which clusters, whatever is near.

import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { DfError } from "../../../errors.ts";
import { parseAddressBlock } from "../../../net/fleet/address-words.ts";
import { ruleBodySchema, ruleSchema } from "../../../net/wire/admin-api.ts";
import {
  deleteRoutingRule,
  listRoutingRules,
  putRoutingRule,
} from "../../../store/fleet-database/routing-rules.ts";
import { emptyAnswer, jsonAnswer, jsonBody, type Resource } from "../config-app.ts";
import type { ConfigParts } from "../config-parts.ts";

const tags = ["rules"];
const params = z.object({ id: z.string().regex(/^[0-9a-z-]{1,64}$/i) });

const listRoute = createRoute({
  ...{ method: "get", path: "/api/v1/rules", tags, summary: "All routing rules" },
  responses: jsonAnswer(
    "The one that decides first first",
    z.object({ rules: z.array(ruleSchema) }),
  ),
});
const createRuleRoute = createRoute({
  ...{ method: "post", path: "/api/v1/rules", tags, summary: "Add a rule" },
  request: { body: jsonBody(ruleBodySchema) },
  responses: jsonAnswer("The rule", ruleSchema),
});
const putRoute = createRoute({
  ...{ method: "put", path: "/api/v1/rules/{id}", tags },
  summary: "Add or replace the rule of that ID",
  request: { params, body: jsonBody(ruleBodySchema) },
  responses: jsonAnswer("The rule", ruleSchema),
});
const deleteRoute = createRoute({
  ...{ method: "delete", path: "/api/v1/rules/{id}", tags, summary: "Remove a rule" },
  request: { params },
  responses: emptyAnswer("It is gone"),
});

type RuleBody = z.infer<typeof ruleBodySchema>;
type RuleParts = Pick<ConfigParts, "database" | "view">;

export function rulesResource({ database, view }: RuleParts): Resource {
  const put = async (id: string, body: RuleBody) => {
    refuseWrongBlocks(body);
    await putRoutingRule(database, { id, ...body, createdAt: Date.now() });
    await view.refresh();
    const stored = (await listRoutingRules(database)).find((rule) => rule.id === id);
    return stored ?? missing(id);
  };
  return (app) => {
    app.openapi(listRoute, async (context) =>
      context.json({ rules: await listRoutingRules(database) }, 200),
    );
    app.openapi(createRuleRoute, async (context) =>
      context.json(await put(crypto.randomUUID(), context.req.valid("json")), 200),
    );
    app.openapi(putRoute, async (context) =>
      context.json(await put(context.req.valid("param").id, context.req.valid("json")), 200),
    );
    app.openapi(deleteRoute, async (context) => {
      const { id } = context.req.valid("param");
      if (!(await deleteRoutingRule(database, id))) missing(id);
      await view.refresh();
      return context.body(null, 204);
    });
  };
}

/** @throws {DfError} usage */
function refuseWrongBlocks({ conditions }: RuleBody): void {
  const wrong = (conditions.cidrs ?? []).filter((cidr) => parseAddressBlock(cidr) === null);
  if (wrong.length === 0) return;
  throw new DfError("usage", `read the rule: ${wrong.join(", ")}: not an address block`, {
    hint: "write 10.0.0.0/8 or fd00::/8",
  });
}

/** @throws {DfError} not-found */
function missing(id: string): never {
  throw new DfError("not-found", `find rule ${id}: there is none`);
}
