"""Small documents: a central flow and a local one of the sales team."""

from __future__ import annotations

CENTRAL = """
document:
  dsl: 1.0.3
  namespace: sales
  name: welcome
  version: {version}
  title: Welcome a customer
  summary: Greets a new customer by name.
  metadata:
    processOwner: sales-owner
    domain: order-to-cash
    dataClass: {data_class}
    tags: [customer, welcome]
input:
  schema:
    document:
      type: object
      required: [name]
      additionalProperties: false
      properties:
        name: {{type: string}}
      examples:
        - {{name: Jane Doe}}
do:
  - greet:
      set:
        greeting: ${{ "Hello " + .name }}
"""

LOCAL = """
kind: localFlow
namespace: warehouse
name: count-stock
version: {version}
title: Count stock
summary: Counts what is on the shelf.
processOwner: warehouse-developer
domain: logistics
dataClass: INTERNAL
tags: [stock]
entrypoint: flows/teams/warehouse/count_stock.py:count_stock
systems: []
input:
  schema:
    document:
      type: object
      required: [sku]
      properties:
        sku: {{type: string}}
output:
  schema:
    document:
      type: object
"""

APPROVAL = """
document:
  dsl: 1.0.3
  namespace: sales
  name: approval
  version: 1.0.0
  title: Approve an amount
  summary: Asks finance.
  metadata:
    processOwner: sales-owner
    dataClass: PERSONAL
input:
  schema:
    document:
      type: object
      required: [amount]
      properties:
        amount: {type: number}
do:
  - approve:
      call: humanTask:1@default
      with:
        title: Approve the amount
        context:
          amount: ${ .amount }
        candidates:
          roles: [finance/finance-approver]
        exclude: [requester]
        outcomes: [approved, rejected]
        form:
          type: object
          properties:
            note: {type: string}
"""


def approval() -> str:
    return APPROVAL


def central(version: str = "1.0.0", data_class: str = "INTERNAL") -> str:
    return CENTRAL.format(version=version, data_class=data_class)


def local(version: str = "1.0.0") -> str:
    return LOCAL.format(version=version)
