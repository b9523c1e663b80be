"""People and services of the shipped teams, as actors."""

from __future__ import annotations

from coe.access.actor import Actor

SALES_OWNER = Actor.of("sales-owner")
SALES_DEVELOPER = Actor.of("sales-developer")
WAREHOUSE_DEVELOPER = Actor.of("warehouse-developer")
WAREHOUSE_WORKER = Actor.of("service:worker/warehouse")
FINANCE_LEAD = Actor.of("finance-lead")
FINANCE_APPROVER = Actor.of("finance-approver")
FINANCE_DEVELOPER = Actor.of("finance-developer")
COE_LEAD = Actor.of("coe-lead")
COE_REVIEWER = Actor.of("coe-reviewer")
AUDITOR = Actor.of("auditor")
OUTSIDER = Actor.of("outsider")
WEB_SHOP = Actor.of("service:web-shop")
