"""TFLite files: conversion, quantised forms, metadata, and reading them back."""
